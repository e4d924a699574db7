"""Requests of providers of SMS, WhatsApp, RCS and other chats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from service.providers.samples.occasion import Build, Occasion, Samples, form_request, json_request

_AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"


_Part: TypeAlias = Callable[[Occasion], dict[str, Any]]
"""One event of several in a request."""


def _button(occasion: Occasion) -> str:
    return f"{occasion.ours_as_query}&reward_question=taste&reward_version=2&reward_answer=sweet"


def _twilio_status(status: str, channel: str = "") -> Build:
    def build(occasion: Occasion) -> Any:
        fields = {
            "MessageSid": occasion.message,
            "SmsSid": occasion.message,
            "MessageStatus": status,
            "AccountSid": "AC00000000000000000000000000000001",
            "To": f"{channel}{occasion.phone}",
            "From": f"{channel}+14155238886",
        }
        return form_request(occasion, fields, f"{occasion.url}?{occasion.ours_as_query}")

    return build


def _twilio_incoming(channel: str = "", **more: str) -> Build:
    def build(occasion: Occasion) -> Any:
        fields = {
            "MessageSid": occasion.event,
            "SmsStatus": "received",
            "AccountSid": "AC00000000000000000000000000000001",
            "From": f"{channel}{occasion.phone}",
            "To": f"{channel}+14155238886",
            "Body": occasion.said,
            **({"ButtonPayload": _button(occasion)} if "ButtonText" in more else {}),
            **({"OriginalRepliedMessageSid": occasion.message} if channel else {}),
            **more,
        }
        return form_request(occasion, fields)

    return build


def _twilio_stream(kind: str, data: dict[str, Any]) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "specversion": "1.0",
                "type": kind,
                "source": "AB00000000000000000000000001",
                "id": each.event,
                "time": each.iso,
                "data": {
                    "from": "+14155238886",
                    "to": each.phone,
                    "tags": each.ours,
                    **{name: each.message for name in ("message_sid", "messageSid") if name in data},
                    **{name: each.page for name in ("link",) if name in data},
                    **{name: each.iso for name in ("click_time", "timestamp") if name in data},
                    **({"user_agent": _AGENT} if "link" in data else {}),
                },
            }
            for each in occasion.each()
        ]
        request = json_request(occasion, events)
        stated = f"{occasion.url}?bodySHA256={hashlib.sha256(request.body).hexdigest()}"
        return msgspec.structs.replace(request, url=stated)

    return build


def _whatsapp(name: str, make: _Part) -> Build:
    def build(occasion: Occasion) -> Any:
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Anna"}, "wa_id": occasion.phone[1:]}],
            name: [make(each) for each in occasion.each()],
        }
        entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
        return json_request(occasion, {"object": "whatsapp_business_account", "entry": [entry]})

    return build


def _whatsapp_status(status: str) -> Build:
    return _whatsapp(
        "statuses",
        lambda occasion: {
            "id": occasion.message,
            "status": status,
            "timestamp": str(occasion.seconds),
            "recipient_id": occasion.phone[1:],
            "biz_opaque_callback_data": occasion.ours_as_query,
        },
    )


def _whatsapp_message(kind: str, inner: _Part) -> Build:
    return _whatsapp(
        "messages",
        lambda occasion: {
            "from": occasion.phone[1:],
            "id": occasion.event,
            "timestamp": str(occasion.seconds),
            "type": kind,
            # A tapped template button comes without it.
            **({} if kind == "button" else {"context": {"from": "15550783881", "id": occasion.message}}),
            kind: inner(occasion),
        },
    )


def _flow(occasion: Occasion) -> dict[str, Any]:
    filled_in = json.dumps({"flow_token": _button(occasion), "taste": "sweet"})
    return {"type": "nfm_reply", "nfm_reply": {"response_json": filled_in, "body": "Sent", "name": "flow"}}


def _inbox(object_name: str, inner: _Part) -> Build:
    def build(occasion: Occasion) -> Any:
        messaging = [
            {"sender": {"id": "7001"}, "recipient": {"id": "9001"}, "timestamp": each.seconds * 1_000, **inner(each)}
            for each in occasion.each()
        ]
        entry = {"id": "9001", "time": occasion.seconds * 1_000, "messaging": messaging}
        return json_request(occasion, {"object": object_name, "entry": [entry]})

    return build


def _inbox_message(occasion: Occasion) -> dict[str, Any]:
    return {"message": {"mid": occasion.event, "text": occasion.said, "reply_to": {"mid": occasion.message}}}


def _quick_reply(occasion: Occasion) -> dict[str, Any]:
    return {"message": {"mid": occasion.event, "text": "Sweet", "quick_reply": {"payload": _button(occasion)}}}


SAMPLES: Samples = {
    "twilio": {
        "delivered": _twilio_status("delivered"),
        "bounced": _twilio_status("undelivered"),
        "read": _twilio_status("read", "whatsapp:"),
        "read-rcs": _twilio_status("read", "rcs:"),
        "replied": _twilio_incoming(),
        "replied-whatsapp": _twilio_incoming("whatsapp:"),
        "answered": _twilio_incoming("whatsapp:", ButtonText="Sweet", MessageType="button"),
        "opted_out": _twilio_incoming(OptOutType="STOP", Body="STOP"),
        "clicked": _twilio_stream(
            "com.twilio.daptbt.link-shortening.link-clicked", {"message_sid": 1, "link": 1, "click_time": 1}
        ),
        "delivered-streamed": _twilio_stream("com.twilio.messaging.message.delivered", {"messageSid": 1, "timestamp": 1}),
    },
    "meta": {
        "sent": _whatsapp_status("sent"),
        "delivered": _whatsapp_status("delivered"),
        "read": _whatsapp_status("read"),
        "failed": _whatsapp_status("failed"),
        "replied": _whatsapp_message("text", lambda occasion: {"body": occasion.said}),
        "answered-button": _whatsapp_message("button", lambda occasion: {"payload": _button(occasion), "text": "Sweet"}),
        "answered": _whatsapp_message(
            "interactive",
            lambda occasion: {"type": "button_reply", "button_reply": {"id": _button(occasion), "title": "Sweet"}},
        ),
        "answered-flow": _whatsapp_message("interactive", _flow),
        "opted_out": _whatsapp(
            "user_preferences",
            lambda occasion: {
                "wa_id": occasion.phone[1:],
                "category": "marketing_messages",
                "value": "stop",
                "timestamp": occasion.seconds,
            },
        ),
        "replied-messenger": _inbox("page", _inbox_message),
        "answered-messenger": _inbox("page", _quick_reply),
        "read-messenger": _inbox("page", lambda occasion: {"read": {"watermark": occasion.seconds * 1_000}}),
        "replied-instagram": _inbox("instagram", _inbox_message),
        "read-instagram": _inbox("instagram", lambda occasion: {"read": {"mid": occasion.message}}),
    },
}
