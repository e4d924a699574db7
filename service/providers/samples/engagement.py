"""Requests of engagement platforms."""

from __future__ import annotations

from typing import Any

from service.providers.samples.occasion import Build, Occasion, Samples, json_request

_AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"


def _customer_io(metric: str, kind: str = "email", **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        body = {
            "metric": metric,
            "event_id": occasion.event,
            "object_type": kind,
            "timestamp": occasion.seconds,
            "data": {
                "customer_id": occasion.customer,
                "delivery_id": occasion.message,
                "broadcast_id": 7,
                "identifiers": {"id": occasion.customer, "email": occasion.email, "cio_id": "d9c106000001"},
                **({"href": occasion.page, "link_id": 1} if metric == "clicked" else {}),
                **more,
            },
        }
        return json_request(occasion, body)

    return build


def _braze(kind: str, **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "event_type": f"users.messages.{kind}",
                "id": each.event,
                "time": each.seconds,
                "user": {"user_id": "0123456789abcdef01234567", "external_user_id": each.customer},
                "properties": {
                    "campaign_id": "11234567",
                    "dispatch_id": each.message,
                    "email_address": each.email,
                    **({"url": each.page} if kind.endswith(".Click") else {}),
                    **({"message_body": each.said} if kind.endswith("InboundReceive") else {}),
                    **more,
                },
            }
            for each in occasion.each()
        ]
        return json_request(occasion, {"events": events})

    return build


def _onesignal(kind: str) -> Build:
    def build(occasion: Occasion) -> Any:
        body = {
            "event": {
                "kind": f"message.{kind}",
                "id": occasion.event,
                "timestamp": occasion.seconds,
                "datetime": occasion.iso,
                "data": {"url": occasion.page} if kind.endswith("clicked") else {},
            },
            "message": {"id": occasion.message, "data": occasion.ours},
            "user": {"external_id": occasion.customer, "onesignal_id": "b3c1"},
        }
        return json_request(occasion, body)

    return build


def _klaviyo(topic: str) -> Build:
    def build(occasion: Occasion) -> Any:
        data = [
            {
                "external_id": each.event,
                "topic": f"event:klaviyo.{topic}",
                "payload": {
                    "data": {
                        "type": "event",
                        "id": each.event,
                        "attributes": {
                            "timestamp": each.seconds,
                            "datetime": each.iso,
                            "event_properties": {
                                "$message": each.message,
                                **each.ours,
                                **({"URL": each.page} if topic.startswith("clicked") else {}),
                            },
                        },
                        "relationships": {"profile": {"data": {"type": "profile", "id": "01GDDK"}}},
                    },
                    "included": [{"type": "profile", "id": "01GDDK", "attributes": {"email": each.email}}],
                },
            }
            for each in occasion.each()
        ]
        return json_request(occasion, {"data": data, "meta": {"klaviyo_webhook_id": "w1", "version": "1"}})

    return build


SAMPLES: Samples = {
    "customer_io": {
        "sent": _customer_io("sent"),
        "delivered": _customer_io("delivered"),
        "opened": _customer_io("opened"),
        "clicked": _customer_io("clicked"),
        "clicked-push": _customer_io("clicked", "push"),
        "converted": _customer_io("converted"),
        "bounced": _customer_io("bounced"),
        "complained": _customer_io("spammed"),
        "unsubscribed": _customer_io("unsubscribed"),
    },
    "braze": {
        "sent": _braze("email.Send"),
        "delivered": _braze("email.Delivery"),
        "opened": _braze("email.Open"),
        "opened-by-machine": _braze("email.Open", machine_open="true"),
        "clicked": _braze("email.Click", user_agent=_AGENT),
        "clicked-push": _braze("pushnotification.Open"),
        "clicked-card": _braze("contentcard.Click"),
        "replied": _braze("sms.InboundReceive"),
        "read": _braze("whatsapp.Read"),
        "bounced": _braze("email.Bounce"),
        "complained": _braze("email.MarkAsSpam"),
        "unsubscribed": _braze("email.Unsubscribe"),
    },
    "onesignal": {
        "sent": _onesignal("push.sent"),
        "delivered": _onesignal("push.received"),
        "clicked": _onesignal("push.clicked"),
        "opened": _onesignal("email.opened"),
        "clicked-email": _onesignal("email.clicked"),
        "bounced": _onesignal("email.bounced"),
        "unsubscribed": _onesignal("push.unsubscribed"),
    },
    "klaviyo": {
        "delivered": _klaviyo("received_email"),
        "opened": _klaviyo("opened_email"),
        "clicked": _klaviyo("clicked_email"),
        "clicked-sms": _klaviyo("clicked_sms"),
        "bounced": _klaviyo("bounced_email"),
        "complained": _klaviyo("marked_email_as_spam"),
        "opted_out": _klaviyo("unsubscribed_from_sms_marketing"),
    },
}
