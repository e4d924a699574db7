"""Set-ups of providers of SMS, WhatsApp, RCS and other chats."""

from __future__ import annotations

from service.providers.connecting.setup import Ask, Assigned, Call, Listed, Setup, Text

_SINKS = "https://events.twilio.com/v1/Sinks"
_SUBSCRIPTIONS = "https://events.twilio.com/v1/Subscriptions"
_SERVICE = "https://messaging.twilio.com/v1/Services/{messaging_service}"
_STATUSES = ("queued", "sent", "delivered", "undelivered", "failed", "read")
_SENT = (*(f"com.twilio.messaging.message.{status}" for status in _STATUSES), "com.twilio.daptbt.link-shortening.link-clicked")


def _subscription(title: str, types: tuple[str, ...], unless: str | None = None) -> Listed:
    """A subscription of our sink, known by its description."""
    named = f"{{title}} {title}"
    return Listed(
        title=f"subscription to {title}",
        unless=unless,
        look=Call("GET", f"{_SUBSCRIPTIONS}?PageSize=1000&SinkSid={{sink}}"),
        items="subscriptions",
        next_page="meta.next_page_url",
        marks={"sink_sid": "{sink}", "description": named},
        id="sid",
        made_id="sid",
        create=Call(
            "POST",
            _SUBSCRIPTIONS,
            {"Description": named, "SinkSid": "{sink}", "Types": [Text({"type": each}) for each in types]},
            is_form=True,
        ),
    )


TWILIO = Setup(
    source="https://www.twilio.com/docs/events/webhook-quickstart",
    asks=(
        Ask(
            name="auth_token",
            title="Twilio Auth Token (it also signs what Twilio sends, so the source holds it)",
            variable="TWILIO_AUTH_TOKEN",
        ),
        Ask(name="account", title="Account SID", variable="TWILIO_ACCOUNT_SID", is_secret=False),
        Ask(
            name="messaging_service",
            title="SID of the Messaging Service that is to send incoming messages and statuses here",
            variable="TWILIO_MESSAGING_SERVICE_SID",
            is_secret=False,
            is_required=False,
        ),
    ),
    headers={},
    basic="{account}:{auth_token}",
    steps=(
        Listed(
            title="Event Streams sink",
            look=Call("GET", f"{_SINKS}?PageSize=1000"),
            items="sinks",
            next_page="meta.next_page_url",
            marks={"sink_type": "webhook", "sink_configuration.destination": "{url}"},
            id="sid",
            made_id="sid",
            saved_as="sink",
            create=Call(
                "POST",
                _SINKS,
                {
                    "Description": "{title}",
                    "SinkType": "webhook",
                    "SinkConfiguration": Text({"destination": "{url}", "method": "POST", "batch_events": True}),
                },
                is_form=True,
            ),
        ),
        _subscription("statuses and clicks", _SENT),
        # A Messaging Service's own webhook says more of an incoming message: its button, and STOP.
        _subscription("incoming messages", ("com.twilio.messaging.inbound-message.received",), unless="messaging_service"),
        Assigned(
            title="Messaging Service",
            when="messaging_service",
            look=Call("GET", _SERVICE),
            addresses=("inbound_request_url", "status_callback"),
            write=Call(
                "POST",
                _SERVICE,
                {"InboundRequestUrl": "{url}", "InboundMethod": "POST", "StatusCallback": "{url}"},
                is_form=True,
            ),
        ),
    ),
    secrets={"auth_token": "{auth_token}"},
    afterwards="Answers by buttons, and STOP: give a Messaging Service too, or set its incoming messages to this address.",
)

_META = "https://graph.facebook.com/{app}/subscriptions"

META = Setup(
    source="https://developers.facebook.com/docs/graph-api/reference/app/subscriptions/",
    asks=(
        Ask(
            name="app_secret",
            title="App secret (it also signs what Meta sends, so the source holds it)",
            variable="META_APP_SECRET",
        ),
        Ask(name="app", title="App ID", variable="META_APP_ID", is_secret=False),
    ),
    headers={"Authorization": "Bearer {app}|{app_secret}"},
    steps=(
        Assigned(
            title="WhatsApp webhook of the app",
            look=Call("GET", _META),
            item="data",
            marks={"object": "whatsapp_business_account"},
            addresses=("callback_url",),
            # Meta asks the address for the verify token before it answers.
            write=Call(
                "POST",
                _META,
                {
                    "object": "whatsapp_business_account",
                    "callback_url": "{url}",
                    "verify_token": "{password}",
                    "fields": "messages,user_preferences",
                },
                is_form=True,
            ),
        ),
    ),
    secrets={"app_secret": "{app_secret}", "verify_token": "{password}"},
    afterwards=(
        "Subscribe the app to your WhatsApp Business Account (POST /{WABA-ID}/subscribed_apps with a system user's token). "
        "Messenger and Instagram: their Settings in the app's dashboard."
    ),
)

_VONAGE = "https://api.nexmo.com/v2/applications/{application}"
_VONAGE_WEBHOOKS = "capabilities.messages.webhooks"
_VONAGE_ADDRESS = {"address": "{url}", "http_method": "POST"}

VONAGE = Setup(
    source="https://developer.vonage.com/en/api/application.v2",
    asks=(
        Ask(name="api_secret", title="Vonage API secret", variable="VONAGE_API_SECRET"),
        Ask(name="api_key", title="Vonage API key", variable="VONAGE_API_KEY", is_secret=False),
        Ask(name="application", title="application ID", variable="VONAGE_APPLICATION_ID", is_secret=False),
        Ask(name="signature_secret", title="signature secret (API settings)", variable="VONAGE_SIGNATURE_SECRET"),
    ),
    headers={},
    basic="{api_key}:{api_secret}",
    steps=(
        Assigned(
            title="Messages webhooks of the application",
            look=Call("GET", _VONAGE),
            addresses=(f"{_VONAGE_WEBHOOKS}.status_url.address", f"{_VONAGE_WEBHOOKS}.inbound_url.address"),
            # An application is only replaced whole.
            keeps=("name", "capabilities", "privacy", "keys"),
            sets={f"{_VONAGE_WEBHOOKS}.status_url": _VONAGE_ADDRESS, f"{_VONAGE_WEBHOOKS}.inbound_url": _VONAGE_ADDRESS},
            write=Call("PUT", _VONAGE),
        ),
    ),
    secrets={"signature_secret": "{signature_secret}"},
)

_X = "https://api.x.com/2/webhooks"

X = Setup(
    source="https://docs.x.com/x-api/webhooks/introduction",
    asks=(
        Ask(name="bearer_token", title="the app's Bearer Token", variable="X_BEARER_TOKEN"),
        Ask(
            name="consumer_secret",
            title="API key secret (it also signs what X sends, so the source holds it)",
            variable="X_CONSUMER_SECRET",
        ),
    ),
    headers={"Authorization": "Bearer {bearer_token}"},
    steps=(
        Listed(
            title="webhook",
            look=Call("GET", _X),
            items="data",
            marks={"url": "{url}"},
            made_id="data.id",
            # X asks the address for a signed token before it answers.
            create=Call("POST", _X, {"url": "{url}"}),
            update=Call("PUT", f"{_X}/{{id}}"),
        ),
    ),
    secrets={"consumer_secret": "{consumer_secret}"},
    afterwards="Subscribe the account whose messages are meant to the webhook, which takes that account's own token.",
)
