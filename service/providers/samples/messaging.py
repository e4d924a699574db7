"""Requests of providers of SMS, WhatsApp, RCS and other chats."""

from __future__ import annotations

import base64
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


def _vonage(**fields: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        incoming = "message_type" in fields
        theirs, ours = occasion.phone[1:], "14155238886"
        body = {
            "message_uuid": occasion.event if incoming else occasion.message,
            "to": ours if incoming else theirs,
            "from": theirs if incoming else ours,
            "timestamp": occasion.iso,
            "channel": "whatsapp",
            **({"context": {"message_uuid": occasion.message}} if incoming else {"client_ref": occasion.token}),
            **({"text": occasion.said} if fields.get("message_type") == "text" else {}),
            **({"reply": {"id": _button(occasion), "title": "Sweet"}} if fields.get("message_type") == "reply" else {}),
            **fields,
        }
        return json_request(occasion, body)

    return build


def _bird(event: str, make: _Part) -> Build:
    return lambda occasion: json_request(occasion, {"service": "channels", "event": event, "payload": make(occasion)})


def _bird_contact(occasion: Occasion) -> dict[str, Any]:
    return {"id": "d4e8935a", "identifierKey": "phonenumber", "identifierValue": occasion.phone}


def _bird_status(status: str) -> Build:
    def payload(occasion: Occasion) -> dict[str, Any]:
        return {
            "id": occasion.message,
            "receiver": {"contacts": [_bird_contact(occasion)]},
            "reference": occasion.ours_as_query,
            "status": status,
            "direction": "outgoing",
            "lastStatusAt": occasion.iso,
        }

    return _bird("sms.outbound", payload)


def _bird_incoming(occasion: Occasion) -> dict[str, Any]:
    return {
        "id": occasion.event,
        "sender": {"contact": _bird_contact(occasion)},
        "body": {"type": "text", "text": {"text": occasion.said}},
        "status": "delivered",
        "direction": "incoming",
        "createdAt": occasion.iso,
        "replyTo": {"id": occasion.message},
    }


def _bird_answer(occasion: Occasion) -> dict[str, Any]:
    postback = {"type": "postback", "postback": {"text": "Sweet", "payload": _button(occasion)}}
    return {**_bird_incoming(occasion), "body": {"type": "text", "text": {"text": "Sweet", "actions": [postback]}}}


def _bird_interaction(kind: str) -> Build:
    def payload(occasion: Occasion) -> dict[str, Any]:
        return {
            "id": occasion.event,
            "messageId": occasion.message,
            "messageReference": occasion.ours_as_query,
            "type": kind,
            "receiver": {"contacts": [_bird_contact(occasion)]},
            "createdAt": occasion.iso,
            "details": {"url": occasion.page, "userAgent": _AGENT} if kind == "clicked" else {},
        }

    return _bird("sms.interaction", payload)


def _infobip(make: _Part) -> Build:
    return lambda occasion: json_request(occasion, {"results": [make(each) for each in occasion.each()]})


def _infobip_report(group: str) -> Build:
    return _infobip(
        lambda occasion: {
            "bulkId": "BULK-1",
            "messageId": occasion.message,
            "to": occasion.phone[1:],
            "sentAt": occasion.iso,
            "doneAt": occasion.iso,
            "status": {"groupId": 3, "groupName": group, "id": 5, "name": group},
            "error": {"groupId": 0, "permanent": False},
            "callbackData": occasion.ours_as_query,
        }
    )


def _infobip_incoming(occasion: Occasion) -> dict[str, Any]:
    return {
        "messageId": occasion.event,
        "from": occasion.phone[1:],
        "to": "14155238886",
        "text": f"JOIN {occasion.said}",
        "cleanText": occasion.said,
        "keyword": "JOIN",
        "receivedAt": occasion.iso,
    }


def _infobip_seen(occasion: Occasion) -> dict[str, Any]:
    return {"messageId": occasion.message, "to": occasion.phone[1:], "seenAt": occasion.iso, "channel": "WHATSAPP"}


def _infobip_clicked(occasion: Occasion) -> Any:
    body = {
        "notificationType": "CLICKED",
        "domain": "shop.example",
        "recipient": occasion.email,
        "url": occasion.page,
        "sendDateTime": occasion.seconds * 1_000,
        "messageId": occasion.message,
        "callbackData": occasion.ours_as_query,
    }
    return json_request(occasion, body)


def _rcs(make: _Part) -> Build:
    def build(occasion: Occasion) -> Any:
        inner = {"senderPhoneNumber": occasion.phone, "sendTime": occasion.iso, "agentId": "agent", **make(occasion)}
        data = base64.b64encode(json.dumps(inner, ensure_ascii=False).encode()).decode()
        message = {"attributes": {"product": "RBM"}, "data": data, "messageId": "pub-sub-1", "publishTime": occasion.iso}
        return json_request(occasion, {"message": message, "subscription": "projects/rbm/subscriptions/agent"})

    return build


def _rcs_event(kind: str) -> Build:
    return _rcs(lambda occasion: {"eventType": kind, "eventId": occasion.event, "messageId": occasion.message})


def _rcs_answer(occasion: Occasion) -> dict[str, Any]:
    suggestion = {"postbackData": _button(occasion), "text": "Sweet", "type": "REPLY"}
    return {"messageId": occasion.event, "suggestionResponse": suggestion}


def _x_message(**data: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "type": "message_create",
                "id": each.event,
                "created_timestamp": str(each.seconds * 1_000),
                "message_create": {
                    "target": {"recipient_id": "9001"},
                    "sender_id": "7001",
                    "message_data": {
                        "text": each.said,
                        **({"quick_reply_response": {"type": "options", "metadata": _button(each)}} if data else {}),
                    },
                },
            }
            for each in occasion.each()
        ]
        return json_request(occasion, {"for_user_id": "9001", "direct_message_events": events})

    return build


def _x_post(occasion: Occasion) -> Any:
    post = {
        "id_str": occasion.event,
        "text": f"@shop {occasion.said}",
        "user": {"id_str": "7001"},
        "in_reply_to_status_id_str": occasion.message,
        "timestamp_ms": str(occasion.seconds * 1_000),
    }
    return json_request(occasion, {"for_user_id": "9001", "tweet_create_events": [post]})


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
    "vonage": {
        "sent": _vonage(status="submitted"),
        "delivered": _vonage(status="delivered"),
        "read": _vonage(status="read"),
        "failed": _vonage(status="rejected"),
        "replied": _vonage(message_type="text"),
        "answered": _vonage(message_type="reply"),
    },
    "bird": {
        "sent": _bird_status("sent"),
        "delivered": _bird_status("delivered"),
        "bounced": _bird_status("delivery_failed"),
        "replied": _bird("whatsapp.inbound", _bird_incoming),
        "answered": _bird("whatsapp.inbound", _bird_answer),
        "read": _bird_interaction("read"),
        "clicked": _bird_interaction("clicked"),
    },
    "infobip": {
        "sent": _infobip_report("PENDING"),
        "delivered": _infobip_report("DELIVERED"),
        "bounced": _infobip_report("UNDELIVERABLE"),
        "read": _infobip(_infobip_seen),
        "clicked": _infobip_clicked,
        "replied": _infobip(_infobip_incoming),
    },
    "rcs": {
        "delivered": _rcs_event("DELIVERED"),
        "read": _rcs_event("READ"),
        "opted_out": _rcs_event("UNSUBSCRIBE"),
        "replied": _rcs(lambda occasion: {"messageId": occasion.event, "text": occasion.said}),
        "answered": _rcs(_rcs_answer),
    },
    "x": {
        "replied": _x_message(),
        "answered": _x_message(options=True),
        "replied-post": _x_post,
    },
}
