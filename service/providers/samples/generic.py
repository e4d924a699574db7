"""Requests of senders of no particular make."""

from __future__ import annotations

from typing import Any

import msgspec

from service.providers.samples.occasion import Build, Occasion, Samples, json_request


def _standard(headers: str, kind: str, **more: str) -> Build:
    def build(occasion: Occasion) -> Any:
        data = {
            "channel": "email",
            "email": occasion.email,
            "message_id": occasion.message,
            **occasion.ours,
            **({"url": occasion.page} if kind.endswith("clicked") else {}),
            **({"text": occasion.said} if kind.endswith("replied") else {}),
            **more,
        }
        body = {"type": kind, "timestamp": occasion.iso, "data": data}
        return json_request(occasion, body, **{f"{headers}_id": occasion.event})

    return build


def _events(headers: str) -> dict[str, Build]:
    plain = {kind: _standard(headers, f"message.{kind}") for kind in ("delivered", "opened", "clicked", "replied", "bounced")}
    return {
        **plain,
        "answered": _standard(headers, "message.answered", question="taste", answer="sweet", question_version="2"),
        "entered": _standard(headers, "location.enter", place="berlin-mitte"),
    }


def _signed_json(kind: str, **more: str) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "event": kind,
                "id": each.event,
                "occurred_at": each.seconds,
                "token": each.token,
                "campaign": each.campaign,
                "email": each.email,
                "message_id": each.message,
                **({"url": each.page} if kind == "clicked" else {}),
                **({"text": each.said} if kind == "replied" else {}),
                **more,
            }
            for each in occasion.each()
        ]
        return json_request(occasion, events)

    return build


def _structured(kind: str) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "specversion": "1.0",
                "type": f"example.message.{kind}",
                "source": "//messaging.example",
                "id": each.event,
                "time": each.iso,
                "data": {"channel": "email", "email": each.email, "message_id": each.message, "url": each.page, **each.ours},
            }
            for each in occasion.each()
        ]
        request = json_request(occasion, events, webhook_id=occasion.event)
        headers = {**request.headers, "content-type": "application/cloudevents-batch+json"}
        return msgspec.structs.replace(request, headers=headers)

    return build


def _binary(kind: str) -> Build:
    def build(occasion: Occasion) -> Any:
        data = {"channel": "email", "email": occasion.email, "message_id": occasion.message, **occasion.ours}
        attributes = {
            "ce_specversion": "1.0",
            "ce_type": f"example.message.{kind}",
            "ce_source": "//messaging.example",
            "ce_id": occasion.event,
            "ce_time": occasion.iso,
        }
        return json_request(occasion, data, **attributes)

    return build


SAMPLES: Samples = {
    "standard_webhooks": _events("webhook"),
    "svix": _events("svix"),
    "signed_json": {
        **{kind: _signed_json(kind) for kind in ("delivered", "opened", "clicked", "replied", "bounced")},
        "answered": _signed_json("answered", question="taste", answer="sweet", question_version="2"),
    },
    "cloudevents": {
        **{kind: _structured(kind) for kind in ("delivered", "opened", "clicked")},
        "clicked-binary": _binary("clicked"),
    },
}
