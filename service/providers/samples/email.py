"""Requests of providers of email."""

from __future__ import annotations

import json
import zlib
from typing import Any

from service.providers.samples.occasion import Build, Occasion, Samples, form_request, json_request, multipart_request
from service.providers.signing import CERTIFICATE_URL

_AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"
_IP = "198.51.100.7"


def _headers(occasion: Occasion, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {
        "From": f"Anna <{occasion.email}>",
        "To": "replies@in.shop.example",
        "Subject": "Re: Espresso week",
        "Message-ID": f"<{occasion.event}@customer.example>",
        "In-Reply-To": f"<{occasion.replied_to}>",
        **named,
    }


def _sendgrid(event: str, **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "email": each.email,
                "timestamp": each.seconds,
                "smtp-id": f"<{each.message}@ismtpd-555>",
                "event": event,
                "category": ["espresso"],
                "sg_event_id": each.event,
                "sg_message_id": f"{each.message}.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
                **each.ours,
                **({"url": each.page, "url_offset": {"index": 0, "type": "html"}} if event == "click" else {}),
                **({"useragent": _AGENT, "ip": _IP} if event in {"click", "open"} else {}),
                **more,
            }
            for each in occasion.each()
        ]
        return json_request(occasion, events)

    return build


def _sendgrid_reply(occasion: Occasion) -> Any:
    headers = "\n".join(f"{name}: {value}" for name, value in _headers(occasion).items())
    fields = {
        "headers": headers,
        "from": f"Anna <{occasion.email}>",
        "to": "replies@in.shop.example",
        "text": f"{occasion.said}\n\nOn Monday, Shop <shop@shop.example> wrote:\n> Answer and earn.\n",
        "charsets": '{"to":"UTF-8","from":"UTF-8","text":"UTF-8"}',
        "envelope": json.dumps({"to": ["replies@in.shop.example"], "from": occasion.email}),
        "SPF": "pass",
        "dkim": f"{{@{occasion.email.rpartition('@')[2]} : pass}}",
    }
    return multipart_request(occasion, fields)


def _mailgun(event: str, **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        data = {
            "event": event,
            "id": occasion.event,
            "timestamp": occasion.seconds + 0.25,
            "recipient": occasion.email,
            "message": {"headers": {"message-id": f"{occasion.message}@shop.example"}},
            "user-variables": occasion.ours,
            "client-info": {"user-agent": _AGENT, "client-name": "Mobile Safari", "bot": ""},
            "ip": _IP,
            **({"url": occasion.page} if event == "clicked" else {}),
            **more,
        }
        nonce = f"{occasion.event}{occasion.email}".encode().hex()[:50]
        return json_request(
            occasion, {"signature": {"timestamp": str(occasion.seconds), "token": nonce, "signature": ""}, "event-data": data}
        )

    return build


def _mailgun_reply(occasion: Occasion) -> Any:
    quoted = f"{occasion.said}\n\nOn Monday, Shop <shop@shop.example> wrote:\n> Answer and earn.\n"
    fields = {
        "sender": occasion.email,
        "from": f"Anna <{occasion.email}>",
        "recipient": "replies@in.shop.example",
        "message-headers": json.dumps([list(pair) for pair in _headers(occasion).items()]),
        "body-plain": quoted,
        "stripped-text": occasion.said,
        "timestamp": str(occasion.seconds),
        "token": occasion.event.encode().hex(),
        "signature": "",
    }
    return form_request(occasion, fields)


def _postmark(kind: str, at: str, whom: str = "Recipient", **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        body = {
            "RecordType": kind,
            "MessageStream": "outbound",
            "Metadata": occasion.ours,
            "MessageID": occasion.message,
            whom: occasion.email,
            at: occasion.iso,
            **({"OriginalLink": occasion.page, "ClickLocation": "HTML"} if kind == "Click" else {}),
            **({"UserAgent": _AGENT, "Geo": {"IP": _IP}} if kind in {"Click", "Open"} else {}),
            **more,
        }
        return json_request(occasion, body)

    return build


def _postmark_reply(occasion: Occasion) -> Any:
    body = {
        "FromFull": {"Email": occasion.email, "Name": "Anna", "MailboxHash": ""},
        "OriginalRecipient": f"{occasion.token}@in.shop.example",
        "MailboxHash": occasion.token,
        "MessageID": occasion.message,
        "TextBody": f"{occasion.said}\n\nOn Monday, Shop <shop@shop.example> wrote:\n> Answer and earn.\n",
        "StrippedTextReply": occasion.said,
        "Headers": [{"Name": name, "Value": value} for name, value in _headers(occasion).items()],
    }
    return json_request(occasion, body)


TOPIC_ARN = "arn:aws:sns:eu-west-1:123456789012:ses-events"


def _sns(occasion: Occasion, kind: str, message: str, **more: str) -> Any:
    body = {
        "Type": kind,
        "MessageId": occasion.event,
        "TopicArn": TOPIC_ARN,
        "Message": message,
        "Timestamp": occasion.iso,
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        **more,
    }
    return json_request(occasion, body)


def _ses(kind: str, detail_name: str, detail: dict[str, Any]) -> Build:
    def build(occasion: Occasion) -> Any:
        headers = [
            {"name": "X-Reward-Token", "value": occasion.token},
            {"name": "X-Reward-Campaign", "value": occasion.campaign},
        ]
        people = [{"emailAddress": each.email} for each in occasion.each()]
        inner = {
            "eventType": kind,
            "mail": {
                "timestamp": occasion.iso,
                "messageId": occasion.message,
                "destination": [each.email for each in occasion.each()],
                "headersTruncated": False,
                "headers": headers,
                "tags": {"ses:configuration-set": ["rewards"]},
            },
            detail_name: {
                "timestamp": occasion.iso,
                **detail,
                **({"link": occasion.page} if kind == "Click" else {}),
                **{name: people for name in ("bouncedRecipients", "complainedRecipients") if name in detail},
            },
        }
        return _sns(occasion, "Notification", json.dumps(inner, ensure_ascii=False))

    return build


def _ses_confirmation(occasion: Occasion) -> Any:
    url = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC_ARN}&Token=2336412f37f"
    return _sns(occasion, "SubscriptionConfirmation", "You have chosen to subscribe.", Token="2336412f37f", SubscribeURL=url)


def _ses_reply(occasion: Occasion) -> Any:
    headers = "".join(f"{name}: {value}\r\n" for name, value in _headers(occasion).items())
    inner = {
        "notificationType": "Received",
        "mail": {
            "timestamp": occasion.iso,
            "source": occasion.email,
            "messageId": occasion.message,
            "headers": [{"name": name, "value": value} for name, value in _headers(occasion).items()],
        },
        "receipt": {"recipients": ["replies@in.shop.example"], "action": {"type": "SNS", "encoding": "UTF8"}},
        "content": f"{headers}Content-Type: text/plain; charset=utf-8\r\n\r\n{occasion.said}\r\n\r\n> Answer and earn.\r\n",
    }
    return _sns(occasion, "Notification", json.dumps(inner, ensure_ascii=False))


def _resend(kind: str, **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        click = {"ipAddress": _IP, "link": occasion.page, "timestamp": occasion.iso, "userAgent": _AGENT}
        data = {
            "created_at": occasion.iso,
            "email_id": occasion.message,
            "from": occasion.email if kind == "email.received" else "Shop <shop@shop.example>",
            "to": [each.email for each in occasion.each()],
            "subject": "Espresso week",
            "tags": occasion.ours,
            **({"click": click} if kind == "email.clicked" else {}),
            **more,
        }
        return json_request(occasion, {"type": kind, "created_at": occasion.iso, "data": data}, svix_id=occasion.event)

    return build


def _sparkpost(kind: str, cls: str = "track_event", **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "msys": {
                    cls: {
                        "type": kind,
                        "event_id": each.event,
                        "message_id": each.message,
                        "rcpt_to": each.email,
                        "raw_rcpt_to": each.email,
                        "rcpt_meta": each.ours,
                        "timestamp": str(each.seconds),
                        **({"target_link_url": each.page} if kind == "click" else {}),
                        **({"user_agent": _AGENT, "ip_address": _IP} if cls == "track_event" else {}),
                        **more,
                    }
                }
            }
            for each in occasion.each()
        ]
        return json_request(occasion, [{"msys": {}}, *events])

    return build


def _sparkpost_reply(occasion: Occasion) -> Any:
    content = {
        "headers": [{name: value} for name, value in _headers(occasion).items()],
        "text": f"{occasion.said}\n\nOn Monday, Shop <shop@shop.example> wrote:\n> Answer and earn.\n",
    }
    message = {"content": content, "friendly_from": occasion.email, "msg_from": occasion.email, "rcpt_to": "r@in.shop.example"}
    return json_request(occasion, [{"msys": {"relay_message": message}}])


def _brevo(kind: str, **more: Any) -> Build:
    def build(occasion: Occasion) -> Any:
        body = {
            "event": kind,
            "email": occasion.email,
            "id": 2**53 + 1,
            "date": "2026-11-30 13:00:00",
            "ts_event": occasion.seconds,
            "ts_epoch": occasion.seconds * 1_000,
            "message-id": f"<{occasion.message}@smtp-relay.mailin.fr>",
            "X-Mailin-custom": occasion.ours_as_query,
            **({"link": occasion.page} if kind == "click" else {}),
            **({"user_agent": _AGENT} if kind in {"click", "opened"} else {}),
            **more,
        }
        return json_request(occasion, body)

    return build


def _brevo_reply(occasion: Occasion) -> Any:
    item = {
        "MessageId": f"<{occasion.event}@customer.example>",
        "InReplyTo": f"<{occasion.replied_to}>",
        "From": {"Name": "Anna", "Address": occasion.email},
        "To": [{"Name": "Shop", "Address": "replies@in.shop.example"}],
        "Headers": {name: [value] for name, value in _headers(occasion).items()},
        "RawTextBody": f"{occasion.said}\n\n> Answer and earn.\n",
        "ExtractedMarkdownMessage": occasion.said,
    }
    return json_request(occasion, {"items": [item]})


def _mandrill(kind: str) -> Build:
    def build(occasion: Occasion) -> Any:
        events: list[dict[str, Any]] = [
            {
                "event": kind,
                "_id": each.message,
                "ts": each.seconds,
                "msg": {"_id": each.message, "ts": each.seconds, "email": each.email, "metadata": each.ours, "tags": []},
                **({"url": each.page} if kind == "click" else {}),
                **({"user_agent": _AGENT, "ip": _IP} if kind in {"click", "open"} else {}),
            }
            for each in occasion.each()
        ]
        return form_request(occasion, {"mandrill_events": json.dumps(events)})

    return build


def _mandrill_reply(occasion: Occasion) -> Any:
    message = {
        "from_email": occasion.email,
        "email": "replies@in.shop.example",
        "headers": _headers(occasion),
        "text": f"{occasion.said}\n\nOn Monday, Shop <shop@shop.example> wrote:\n> Answer and earn.\n",
    }
    event = {"event": "inbound", "ts": occasion.seconds, "msg": message}
    return form_request(occasion, {"mandrill_events": json.dumps([event])})


def _netcore(kind: str) -> Build:
    def build(occasion: Occasion) -> Any:
        events = [
            {
                "EVENT": kind,
                "EMAIL": each.email,
                "TRANSID": 2**62 + zlib.crc32(each.message.encode()),
                "TIMESTAMP": each.seconds,
                "X-APIHEADER": each.ours_as_query,
                **({"URL": each.page} if kind == "clicked" else {}),
                **({"USERAGENT": _AGENT, "IPADDRESS": _IP} if kind in {"clicked", "opened"} else {}),
            }
            for each in occasion.each()
        ]
        return json_request(occasion, events)

    return build


SAMPLES: Samples = {
    "sendgrid": {
        "sent": _sendgrid("processed"),
        "delivered": _sendgrid("delivered", response="250 OK"),
        "opened": _sendgrid("open", sg_machine_open=False),
        "opened-by-machine": _sendgrid("open", sg_machine_open=True),
        "clicked": _sendgrid("click"),
        "bounced": _sendgrid("bounce", type="bounce", status="5.1.1", reason="550 unknown"),
        "failed": _sendgrid("dropped", reason="Bounced Address"),
        "complained": _sendgrid("spamreport"),
        "unsubscribed": _sendgrid("unsubscribe"),
        "replied": _sendgrid_reply,
    },
    "mailgun": {
        "delivered": _mailgun("delivered"),
        "opened": _mailgun("opened"),
        "opened-by-machine": _mailgun("opened", **{"client-info": {"user-agent": _AGENT, "bot": "apple"}}),
        "clicked": _mailgun("clicked"),
        "bounced": _mailgun("failed", severity="permanent"),
        "deferred": _mailgun("failed", severity="temporary"),
        "complained": _mailgun("complained"),
        "unsubscribed": _mailgun("unsubscribed"),
        "replied": _mailgun_reply,
    },
    "postmark": {
        "delivered": _postmark("Delivery", "DeliveredAt"),
        "opened": _postmark("Open", "ReceivedAt", FirstOpen=True),
        "clicked": _postmark("Click", "ReceivedAt"),
        "bounced": _postmark("Bounce", "BouncedAt", "Email", ID=2**53 + 1, Type="HardBounce", TypeCode=1),
        "complained": _postmark("SpamComplaint", "BouncedAt", "Email", ID=43, Type="SpamComplaint"),
        "unsubscribed": _postmark("SubscriptionChange", "ChangedAt", SuppressSending=True, Origin="Recipient"),
        "resubscribed": _postmark("SubscriptionChange", "ChangedAt", SuppressSending=False, Origin="Recipient"),
        "replied": _postmark_reply,
    },
    "ses": {
        "confirmation": _ses_confirmation,
        "sent": _ses("Send", "send", {}),
        "opened": _ses("Open", "open", {"userAgent": _AGENT, "ipAddress": _IP}),
        "clicked": _ses("Click", "click", {"userAgent": _AGENT, "ipAddress": _IP}),
        "bounced": _ses("Bounce", "bounce", {"bounceType": "Permanent", "bouncedRecipients": [], "feedbackId": "f-1"}),
        "complained": _ses("Complaint", "complaint", {"complainedRecipients": [], "feedbackId": "f-2"}),
        "unsubscribed": _ses("Subscription", "subscription", {"newTopicPreferences": {"unsubscribeAll": True}}),
        "replied": _ses_reply,
    },
    "resend": {
        "sent": _resend("email.sent"),
        "delivered": _resend("email.delivered"),
        "opened": _resend("email.opened"),
        "clicked": _resend("email.clicked"),
        "bounced": _resend("email.bounced", bounce={"type": "Permanent", "subType": "Suppressed", "message": "unknown"}),
        "complained": _resend("email.complained"),
        "replied": _resend("email.received"),
    },
    "sparkpost": {
        "sent": _sparkpost("injection", "message_event"),
        "delivered": _sparkpost("delivery", "message_event"),
        "opened": _sparkpost("open"),
        "opened-by-machine": _sparkpost("open", user_agent_parsed={"is_prefetched": True}),
        "clicked": _sparkpost("click"),
        "bounced": _sparkpost("bounce", "message_event", bounce_class="10"),
        "complained": _sparkpost("spam_complaint", "message_event"),
        "unsubscribed": _sparkpost("list_unsubscribe", "unsubscribe_event"),
        "replied": _sparkpost_reply,
    },
    "brevo": {
        "sent": _brevo("request"),
        "delivered": _brevo("delivered"),
        "opened": _brevo("opened"),
        "opened-by-machine": _brevo("unique_proxy_open"),
        "clicked": _brevo("click"),
        "bounced": _brevo("hard_bounce"),
        "complained": _brevo("spam"),
        "unsubscribed": _brevo("unsubscribed"),
        "replied": _brevo_reply,
    },
    "mandrill": {
        "sent": _mandrill("send"),
        "delivered": _mandrill("delivered"),
        "opened": _mandrill("open"),
        "clicked": _mandrill("click"),
        "bounced": _mandrill("hard_bounce"),
        "complained": _mandrill("spam"),
        "unsubscribed": _mandrill("unsub"),
        "replied": _mandrill_reply,
    },
    "netcore": {
        "delivered": _netcore("sent"),
        "opened": _netcore("opened"),
        "clicked": _netcore("clicked"),
        "bounced": _netcore("bounced"),
        "complained": _netcore("spam"),
        "unsubscribed": _netcore("unsubscribed"),
    },
}
