"""The webhook APIs of messaging providers as they are documented: a real server on this machine, with an account on it.

serving       the server; ``ProviderApis.calls`` is what was called, ``webhooks_of`` what is set up
CREDENTIALS   what the account's owner has, in the variables of the environment that the command reads
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from service.providers.registry import ADAPTERS
from service.providers.samples.simulate import secrets_for

KEY = "the-credential-of-the-account"
SIGNING_KEY = "the-signing-key-in-the-console"

CREDENTIALS: dict[str, dict[str, str]] = {
    "sendgrid": {"SENDGRID_API_KEY": KEY},
    "mailgun": {"MAILGUN_API_KEY": KEY, "MAILGUN_DOMAIN": "mg.shop.example", "MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY},
    "postmark": {"POSTMARK_SERVER_TOKEN": KEY},
    "resend": {"RESEND_API_KEY": KEY},
    "sparkpost": {"SPARKPOST_API_KEY": KEY},
    "brevo": {"BREVO_API_KEY": KEY},
    "mandrill": {"MANDRILL_API_KEY": KEY},
    "twilio": {"TWILIO_AUTH_TOKEN": KEY, "TWILIO_ACCOUNT_SID": "AC0"},
    "meta": {"META_APP_SECRET": KEY, "META_APP_ID": "4711"},
    "vonage": {
        "VONAGE_API_SECRET": KEY,
        "VONAGE_API_KEY": "abcd",
        "VONAGE_APPLICATION_ID": "app-1",
        "VONAGE_SIGNATURE_SECRET": SIGNING_KEY,
    },
    "x": {"X_BEARER_TOKEN": KEY, "X_CONSUMER_SECRET": SIGNING_KEY},
    "customer_io": {"CUSTOMERIO_APP_API_KEY": KEY, "CUSTOMERIO_WEBHOOK_SIGNING_KEY": SIGNING_KEY},
    "klaviyo": {"KLAVIYO_API_KEY": KEY},
}

Body: TypeAlias = Any
Values: TypeAlias = dict[str, Any]


class Refused(Exception):
    """The provider refuses."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status, said)
        self.status, self.said = status, said


class Interrupted(Exception):
    """The connection ends before the answer."""


@dataclass
class ProviderApis:
    """An account at each provider."""

    calls: list[str] = field(default_factory=list[str])
    """Method and path of each call."""
    bodies: list[str] = field(default_factory=list[str])
    webhooks: list[Values] = field(default_factory=list[Values])
    """Whatever is set up, of whichever provider."""
    application: Values = field(default_factory=dict[str, Any])
    """Vonage's application, Twilio's service, Meta's subscriptions: what has a place for an address."""
    interrupts: int | None = None
    """After this call the connection ends without an answer."""
    holds: threading.Event | None = None
    """This is waited for before a call is answered; ``held`` says that one waits."""
    held: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def answer(self, method: str, target: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, Body]:
        """Do what a call says."""
        self.calls.append(f"{method} {urlsplit(target).path}")
        self.bodies.append(raw.decode())
        is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        body = parse_qs(raw.decode()) if is_form else json.loads(raw) if raw else None
        try:
            status, answered = self._answer(f"{method} {urlsplit(target).path}", target, headers, body)
        except Refused as refused:
            # Whoever repeats what was sent repeats the credentials.
            status, answered = refused.status, {"errors": [{"message": refused.said}], "sent": [dict(headers), body]}
        if self.interrupts == len(self.calls):
            raise Interrupted
        if self.holds is not None:
            self.held.set()
            self.holds.wait(30)
        return status, answered

    def _answer(self, called: str, target: str, headers: Mapping[str, str], body: Body) -> tuple[int, Body]:
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, called):
                query = parse_qs(urlsplit(target).query)
                return route(self, headers, [unquote(part or "") for part in match.groups()], body, query)
        raise Refused(404, "there is nothing here")

    def make(self, **values: Any) -> Values:
        """Set something up."""
        made = {"number": next(self._numbers), **values}
        self.webhooks.append(made)
        return made

    def numbered(self, number: str | int) -> Values:
        """What was set up under a number."""
        found = next((each for each in self.webhooks if each["number"] == int(number)), None)
        if found is None:
            raise Refused(404, "no such webhook")
        return found

    def of(self, kind: str) -> list[Values]:
        """What is set up, of a kind."""
        return [each for each in self.webhooks if each["kind"] == kind]


Route: TypeAlias = Callable[[ProviderApis, Mapping[str, str], list[str], Body, dict[str, list[str]]], tuple[int, Body]]
ROUTES: list[tuple[str, Route]] = []


def route(pattern: str) -> Callable[[Route], Route]:
    """Answer calls of this method and path."""

    def listed(answers: Route) -> Route:
        ROUTES.append((pattern, answers))
        return answers

    return listed


def _must(right: bool, status: int = 401, said: str = "not known") -> None:
    if not right:
        raise Refused(status, said)


def _basic(headers: Mapping[str, str]) -> str:
    return base64.b64decode(headers.get("authorization", "").removeprefix("Basic ")).decode()


# SendGrid

_EVENTS = {"open", "click", "delivered", "bounce", "spam_report", "group_unsubscribe"}


@route("(GET|POST|PATCH) /v3/user/webhooks/event/settings(?:/(all|[0-9]+))?")
def sendgrid(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Bearer {KEY}")
    if parts[0] == "GET":
        listed = [
            {"id": str(each["number"]), "url": each["url"], "enabled": True, "public_key": each["public_key"]}
            for each in apis.of("sendgrid")
        ]
        return 200, {"max_allowed": 5, "webhooks": listed}
    _must(body["enabled"] is True and all(body[event] for event in _EVENTS), 400, "events are missing")
    if parts[0] == "PATCH":
        apis.numbered(parts[1]).update(url=body["url"])
        return 200, {"id": parts[1], "url": body["url"]}
    made = apis.make(kind="sendgrid", url=body["url"], public_key="")
    return 201, {"id": str(made["number"]), "url": body["url"]}


@route("(GET|PATCH) /v3/user/webhooks/event/settings/signed/([0-9]+)")
def sendgrid_signed(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Bearer {KEY}")
    webhook = apis.numbered(parts[1])
    if parts[0] == "PATCH":
        _must(body == {"enabled": True} and not webhook["public_key"], 400, "is signed already")
        webhook["public_key"] = secrets_for(ADAPTERS["sendgrid"])["verification_key"][0]
    return 200, {"id": parts[1], "public_key": webhook["public_key"]}


# Mailgun


@route("(GET|POST) /v[34]/domains/([^/]+)/webhooks")
def mailgun(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(_basic(headers) == f"api:{KEY}")
    _must(parts[1] == "mg.shop.example", 404, "Domain not found")
    if parts[0] == "POST":
        (url,) = body["url"]
        for kind in body["event_types"]:
            there = [each for each in apis.of("mailgun") if each["event"] == kind]
            _must(url not in {each["url"] for each in there} and len(there) < 3, 400, "webhook exists")
            apis.make(kind="mailgun", url=url, event=kind)
    found: dict[str, dict[str, list[str]]] = {}
    for each in apis.of("mailgun"):
        found.setdefault(each["event"], {"urls": []})["urls"].append(each["url"])
    return 200, {"webhooks": found}


# Postmark


@route("(GET|POST|PUT) /webhooks(?:/([0-9]+))?")
def postmark_or_resend(
    apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, query: dict[str, list[str]]
) -> tuple[int, Body]:
    if "x-postmark-server-token" not in headers:
        return resend(apis, headers, parts, body, query)
    _must(headers["x-postmark-server-token"] == KEY)
    if parts[0] == "GET":
        (stream,) = query["MessageStream"]
        listed = [each["made"] for each in apis.of("postmark") if each["made"]["MessageStream"] == stream]
        return 200, {"Webhooks": listed}
    _must(body["HttpAuth"].keys() == {"Username", "Password"} and body["Triggers"]["Click"]["Enabled"], 422, "is wrong")
    if parts[0] == "POST":
        made = apis.make(kind="postmark", url=body["Url"])
        made["made"] = {"ID": made["number"], **body}
    else:
        made = apis.numbered(parts[1])
        made["made"].update(body)
    return 200, made["made"]


# Resend


@route("(GET|PATCH) /webhooks/(re-[0-9]+)")
def resend(
    apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, query: dict[str, list[str]]
) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Bearer {KEY}")
    if parts[1]:
        webhook = apis.numbered(parts[1].removeprefix("re-"))
        if parts[0] == "PATCH":
            _must(body["status"] == "enabled", 422, "is wrong")
            return 200, {"object": "webhook", "id": parts[1]}
        return 200, {"object": "webhook", "id": parts[1], "endpoint": webhook["url"], "signing_secret": webhook["secret"]}
    if parts[0] == "GET":
        listed = [{"id": f"re-{each['number']}", "endpoint": each["url"], "status": "enabled"} for each in apis.of("resend")]
        return 200, {"object": "list", "has_more": False, "data": listed}
    _must("email.clicked" in body["events"], 422, "is wrong")
    (secret,) = secrets_for(ADAPTERS["resend"])["signing_secret"]
    made = apis.make(kind="resend", url=body["endpoint"], secret=secret)
    return 201, {"object": "webhook", "id": f"re-{made['number']}", "signing_secret": secret}


# SparkPost


@route("(GET|POST|PUT) /api/v1/webhooks(?:/([0-9]+))?")
def sparkpost(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == KEY)
    if parts[0] == "GET":
        return 200, {"results": [{"id": str(each["number"]), "target": each["url"]} for each in apis.of("sparkpost")]}
    _must(body["auth_type"] == "basic" and "click" in body["events"], 400, "is wrong")
    if parts[0] == "POST":
        made = apis.make(kind="sparkpost", url=body["target"], auth=body["auth_credentials"])
    else:
        made = apis.numbered(parts[1])
        made["auth"] = body["auth_credentials"]
    return 200, {"results": {"id": str(made["number"])}}


# Brevo


@route("(GET|POST|PUT) /v3/webhooks(?:/([0-9]+))?")
def brevo(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("api-key") == KEY)
    if parts[0] == "GET":
        listed = [{"id": each["number"], "url": each["url"], "type": "transactional"} for each in apis.of("brevo")]
        _must(bool(listed), 404, "document_not_found")
        return 200, {"webhooks": listed}
    _must(body["auth"]["type"] == "bearer" and "click" in body["events"], 400, "is wrong")
    if parts[0] == "POST":
        made = apis.make(kind="brevo", url=body["url"], token=body["auth"]["token"])
        return 201, {"id": made["number"]}
    apis.numbered(parts[1])["token"] = body["auth"]["token"]
    return 204, None


# Mandrill


@route(r"POST /api/1\.0/webhooks/(list|add|update|info)\.json")
def mandrill(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(body["key"] == KEY, 500, "Invalid API key")

    def shown(each: Values) -> Values:
        return {"id": each["number"], "url": each["url"], "auth_key": each["secret"]}

    if parts[0] == "list":
        return 200, [shown(each) for each in apis.of("mandrill")]
    if parts[0] == "add":
        (secret,) = secrets_for(ADAPTERS["mandrill"])["webhook_key"]
        return 200, shown(apis.make(kind="mandrill", url=body["url"], secret=secret))
    return 200, shown(apis.numbered(body["id"]))


# Twilio


@route("(GET|POST) /v1/Sinks")
def twilio_sinks(
    apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, query: dict[str, list[str]]
) -> tuple[int, Body]:
    _must(_basic(headers) == f"AC0:{KEY}")
    if parts[0] == "POST":
        configuration = json.loads(body["SinkConfiguration"][0])
        _must(body["SinkType"] == ["webhook"] and configuration["method"] == "POST", 400, "is wrong")
        made = apis.make(kind="twilio", url=configuration["destination"])
        return 201, {"sid": f"DG{made['number']}", "status": "active"}
    # Two pages, whatever was asked for: theirs may be on any.
    sinks = [
        {"sid": f"DG{each['number']}", "sink_type": "webhook", "sink_configuration": {"destination": each["url"]}}
        for each in apis.of("twilio")
    ]
    is_first = "Page" not in query
    following = "https://events.twilio.com/v1/Sinks?Page=1&PageToken=x" if is_first else None
    return 200, {"sinks": [] if is_first else sinks, "meta": {"next_page_url": following}}


@route("(GET|POST) /v1/Subscriptions")
def twilio_subscriptions(
    apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, query: dict[str, list[str]]
) -> tuple[int, Body]:
    _must(_basic(headers) == f"AC0:{KEY}")
    if parts[0] == "POST":
        types = [json.loads(each)["type"] for each in body["Types"]]
        _must(bool(types) and apis.numbered(body["SinkSid"][0].removeprefix("DG"))["kind"] == "twilio", 400, "is wrong")
        made = apis.make(kind="twilio subscription", sink=body["SinkSid"][0], said=body["Description"][0], types=types)
        return 201, {"sid": f"DF{made['number']}"}
    listed = [
        {"sid": f"DF{each['number']}", "sink_sid": each["sink"], "description": each["said"]}
        for each in apis.of("twilio subscription")
        if [each["sink"]] == query["SinkSid"]
    ]
    return 200, {"subscriptions": listed, "meta": {"next_page_url": None}}


@route("(GET|POST) /v1/Services/MG1")
def twilio_service(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(_basic(headers) == f"AC0:{KEY}")
    if parts[0] == "POST":
        apis.application |= {
            "inbound_request_url": body["InboundRequestUrl"][0],
            "status_callback": body["StatusCallback"][0],
        }
    return 200, {"sid": "MG1", "inbound_request_url": None, "status_callback": None, **apis.application}


# Meta


@route("(GET|POST) /4711/subscriptions")
def meta(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Bearer 4711|{KEY}", 400, "Invalid OAuth access token")
    if parts[0] == "POST":
        apis.application[body["object"][0]] = body["callback_url"][0]
        apis.application["verify_token"] = body["verify_token"][0]
        return 200, {"success": True}
    objects = {name: url for name, url in apis.application.items() if name != "verify_token"}
    return 200, {"data": [{"object": name, "callback_url": url, "active": True} for name, url in objects.items()]}


# Vonage


@route("(GET|PUT) /v2/applications/app-1")
def vonage(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(_basic(headers) == f"abcd:{KEY}")
    if parts[0] == "PUT":
        _must("id" not in body and bool(body.get("name")), 400, "name is missing")
        apis.application = body
    return 200, {"id": "app-1", "name": "Shop", "_links": {}, **apis.application}


# X


@route("(GET|POST|PUT) /2/webhooks(?:/([0-9]+))?")
def x(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Bearer {KEY}")
    if parts[0] == "PUT":
        return 200, {"data": {"valid": apis.numbered(parts[1])["kind"] == "x"}}
    if parts[0] == "POST":
        made = apis.make(kind="x", url=body["url"])
        return 200, {"data": {"id": str(made["number"]), "url": body["url"], "valid": True}}
    listed = [{"id": str(each["number"]), "url": each["url"], "valid": True} for each in apis.of("x")]
    # Without any there is no list.
    return 200, {"data": listed, "meta": {"result_count": len(listed)}} if listed else {"meta": {"result_count": 0}}


# Customer.io


@route("(GET|POST|PUT) /v1/reporting_webhooks(?:/([0-9]+))?")
def customer_io(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Bearer {KEY}")
    if parts[0] == "GET":
        listed = [{"id": each["number"], "endpoint": each["url"]} for each in apis.of("customer_io")]
        return 200, {"reporting_webhooks": listed}
    _must(body["name"] and "email_clicked" in body["events"], 400, "is wrong")
    if parts[0] == "POST":
        made = apis.make(kind="customer_io", url=body["endpoint"])
        return 200, {"id": made["number"], "endpoint": body["endpoint"]}
    return 200, {"id": apis.numbered(parts[1])["number"], "endpoint": body["endpoint"]}


# Klaviyo


@route("(GET|POST|PATCH) /api/webhooks(?:/([0-9]+))?")
def klaviyo(apis: ProviderApis, headers: Mapping[str, str], parts: list[str], body: Body, _: Any) -> tuple[int, Body]:
    _must(headers.get("authorization") == f"Klaviyo-API-Key {KEY}" and bool(headers.get("revision")))
    if parts[0] == "GET":
        # It shows only the beginning of an address.
        listed = [
            {"id": str(each["number"]), "attributes": {"name": each["name"], "endpoint_url": each["url"][:20]}}
            for each in apis.of("klaviyo")
        ]
        return 200, {"data": listed}
    _must(headers.get("content-type") == "application/vnd.api+json", 415, "is not JSON:API")
    attributes = body["data"]["attributes"]
    _must(bool(body["data"]["relationships"]["webhook-topics"]["data"]), 400, "is wrong")
    if parts[0] == "POST":
        made = apis.make(
            kind="klaviyo", name=attributes["name"], url=attributes["endpoint_url"], secret=attributes["secret_key"]
        )
    else:
        made = apis.numbered(parts[1])
        made["secret"] = attributes["secret_key"]
    return 200, {"data": {"type": "webhook", "id": str(made["number"])}}


@contextlib.contextmanager
def serving() -> Generator[ProviderApis]:
    """Serve the accounts on a port of this machine."""
    apis = ProviderApis()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, answered = apis.answer(self.command, self.path, headers, raw)
            except Interrupted:
                self.close_connection = True
                return
            body = b"" if answered is None else json.dumps(answered).encode()
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = handle_one  # noqa: N815

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    apis.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield apis
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
