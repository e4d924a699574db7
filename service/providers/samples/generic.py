"""Requests of senders of no particular make."""

from __future__ import annotations

from typing import Any

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


SAMPLES: Samples = {"standard_webhooks": _events("webhook"), "svix": _events("svix")}
