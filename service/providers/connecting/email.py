"""Set-ups of providers of email."""

from __future__ import annotations

from service.providers.connecting.setup import P256, Ask, Call, Listed, Revealed, Setup, Spread

_SENDGRID = "https://api.sendgrid.com/v3/user/webhooks/event/settings"
_SENDGRID_EVENTS = (
    *("processed", "delivered", "deferred", "bounce", "dropped", "open", "click", "spam_report", "unsubscribe"),
    *("group_unsubscribe", "group_resubscribe"),
)
_SENDGRID_WEBHOOK = {"enabled": True, "url": "{url}", "friendly_name": "{title}", **dict.fromkeys(_SENDGRID_EVENTS, True)}

SENDGRID = Setup(
    source="https://www.twilio.com/docs/sendgrid/api-reference/webhooks/create-an-event-webhook",
    asks=(Ask(name="api_key", title="SendGrid API key", variable="SENDGRID_API_KEY"),),
    headers={"Authorization": "Bearer {api_key}"},
    steps=(
        Listed(
            title="event webhook",
            look=Call("GET", f"{_SENDGRID}/all"),
            items="webhooks",
            marks={"url": "{url}"},
            create=Call("POST", _SENDGRID, _SENDGRID_WEBHOOK),
            update=Call("PATCH", f"{_SENDGRID}/{{id}}", _SENDGRID_WEBHOOK),
        ),
    ),
    secrets={},
    reveals=(
        Revealed(
            "verification_key",
            "public_key",
            # Signing is switched on only where it is off: the key of a webhook that works stays.
            (Call("GET", f"{_SENDGRID}/signed/{{id}}"), Call("PATCH", f"{_SENDGRID}/signed/{{id}}", {"enabled": True})),
            until=P256,
        ),
    ),
    afterwards="Replies: Settings, Inbound Parse, to a source of its own.",
)

_MAILGUN = "https://api.mailgun.net"

MAILGUN = Setup(
    source="https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/domain-webhooks",
    asks=(
        Ask(name="api_key", title="Mailgun API key", variable="MAILGUN_API_KEY"),
        Ask(name="domain", title="sending domain", variable="MAILGUN_DOMAIN", is_secret=False),
        Ask(
            name="signing_key",
            title="HTTP webhook signing key (Settings, API security)",
            variable="MAILGUN_WEBHOOK_SIGNING_KEY",
        ),
    ),
    headers={},
    basic="api:{api_key}",
    steps=(
        Spread(
            title="domain webhooks",
            look=Call("GET", f"{_MAILGUN}/v3/domains/{{domain}}/webhooks"),
            lists="webhooks",
            addresses="urls",
            kinds=(
                *("accepted", "delivered", "opened", "clicked", "unsubscribed", "complained"),
                *("permanent_fail", "temporary_fail"),
            ),
            add=Call(
                "POST",
                f"{_MAILGUN}/v4/domains/{{domain}}/webhooks",
                {"url": "{url}", "event_types": "{missing}"},
                is_form=True,
            ),
        ),
    ),
    secrets={"signing_key": "{signing_key}"},
    afterwards='Replies: Receive, Routes, a route with the action forward("...") to the same address.',
)

_POSTMARK = "https://api.postmarkapp.com/webhooks"
_POSTMARK_WEBHOOK = {
    "Url": "{url}",
    "HttpAuth": {"Username": "rewards", "Password": "{password}"},
    "Triggers": {
        "Open": {"Enabled": True, "PostFirstOpenOnly": False},
        "Click": {"Enabled": True},
        "Delivery": {"Enabled": True},
        "Bounce": {"Enabled": True, "IncludeContent": False},
        "SpamComplaint": {"Enabled": True, "IncludeContent": False},
        "SubscriptionChange": {"Enabled": True},
    },
}

POSTMARK = Setup(
    source="https://postmarkapp.com/developer/api/webhooks-api",
    asks=(
        Ask(name="server_token", title="Postmark server API token", variable="POSTMARK_SERVER_TOKEN"),
        Ask(
            name="stream",
            title="message stream",
            variable="POSTMARK_MESSAGE_STREAM",
            is_secret=False,
            default="outbound",
        ),
    ),
    headers={"X-Postmark-Server-Token": "{server_token}"},
    steps=(
        Listed(
            title="webhook of the message stream",
            look=Call("GET", f"{_POSTMARK}?MessageStream={{stream}}"),
            items="Webhooks",
            marks={"Url": "{url}"},
            id="ID",
            made_id="ID",
            create=Call("POST", _POSTMARK, {**_POSTMARK_WEBHOOK, "MessageStream": "{stream}"}),
            update=Call("PUT", f"{_POSTMARK}/{{id}}", _POSTMARK_WEBHOOK),
        ),
    ),
    secrets={"basic_auth": "rewards:{password}"},
    afterwards="Replies: the inbound stream's webhook, with a user and password in the address, to a source of its own.",
)

_RESEND = "https://api.resend.com/webhooks"
_RESEND_EVENTS = [
    f"email.{event}"
    for event in (
        *("sent", "delivered", "delivery_delayed", "opened", "clicked", "bounced", "complained", "failed", "suppressed"),
        "received",
    )
]

RESEND = Setup(
    source="https://resend.com/docs/api-reference/webhooks",
    asks=(Ask(name="api_key", title="Resend API key", variable="RESEND_API_KEY"),),
    headers={"Authorization": "Bearer {api_key}"},
    steps=(
        Listed(
            title="webhook",
            look=Call("GET", f"{_RESEND}?limit=100"),
            items="data",
            marks={"endpoint": "{url}"},
            create=Call("POST", _RESEND, {"endpoint": "{url}", "events": _RESEND_EVENTS}),
            update=Call("PATCH", f"{_RESEND}/{{id}}", {"endpoint": "{url}", "events": _RESEND_EVENTS, "status": "enabled"}),
        ),
    ),
    secrets={},
    reveals=(Revealed("signing_secret", "signing_secret", (Call("GET", f"{_RESEND}/{{id}}"),), until="whsec_{random}"),),
)

_SPARKPOST = "https://api.sparkpost.com/api/v1/webhooks"
_SPARKPOST_WEBHOOK = {
    "name": "{title}",
    "target": "{url}",
    "events": [
        *("injection", "delivery", "delay", "bounce", "out_of_band", "policy_rejection", "generation_failure"),
        *("generation_rejection", "spam_complaint", "list_unsubscribe", "link_unsubscribe", "open", "initial_open"),
        *("click", "amp_open", "amp_initial_open", "amp_click"),
    ],
    "active": True,
    "auth_type": "basic",
    "auth_credentials": {"username": "rewards", "password": "{password}"},
}

SPARKPOST = Setup(
    source="https://docs.bird.com/api/email-api/webhooks",
    asks=(Ask(name="api_key", title="SparkPost API key", variable="SPARKPOST_API_KEY"),),
    headers={"Authorization": "{api_key}"},
    steps=(
        Listed(
            title="webhook",
            look=Call("GET", _SPARKPOST),
            items="results",
            marks={"target": "{url}"},
            made_id="results.id",
            create=Call("POST", _SPARKPOST, _SPARKPOST_WEBHOOK),
            update=Call("PUT", f"{_SPARKPOST}/{{id}}", _SPARKPOST_WEBHOOK),
        ),
    ),
    secrets={"basic_auth": "rewards:{password}"},
    afterwards="Replies: a relay webhook to the same address, with the same user and password.",
)

_BREVO = "https://api.brevo.com/v3/webhooks"
_BREVO_WEBHOOK = {
    "url": "{url}",
    "description": "{title}",
    "events": [
        *("sent", "delivered", "deferred", "opened", "uniqueOpened", "click", "hardBounce", "softBounce", "blocked"),
        *("invalid", "spam", "unsubscribed"),
    ],
    "batched": True,
    "auth": {"type": "bearer", "token": "{password}"},
}

BREVO = Setup(
    source="https://developers.brevo.com/reference/create-webhook",
    asks=(Ask(name="api_key", title="Brevo API key", variable="BREVO_API_KEY"),),
    headers={"api-key": "{api_key}"},
    steps=(
        Listed(
            title="transactional webhook",
            look=Call("GET", f"{_BREVO}?type=transactional"),
            items="webhooks",
            marks={"url": "{url}"},
            create=Call("POST", _BREVO, {**_BREVO_WEBHOOK, "type": "transactional", "channel": "email"}),
            update=Call("PUT", f"{_BREVO}/{{id}}", _BREVO_WEBHOOK),
            # An account without webhooks is answered so.
            none=404,
        ),
    ),
    secrets={"bearer_token": "{password}"},
    afterwards="Replies: an inbound webhook made by Brevo's API, with the same token, to the same address.",
)

_MANDRILL = "https://mandrillapp.com/api/1.0/webhooks"
_MANDRILL_WEBHOOK = {
    "key": "{api_key}",
    "url": "{url}",
    "description": "{title}",
    "events": ["send", "hard_bounce", "soft_bounce", "open", "click", "spam", "unsub", "reject"],
}

MANDRILL = Setup(
    source="https://mailchimp.com/developer/transactional/api/webhooks/",
    asks=(Ask(name="api_key", title="Mailchimp Transactional API key", variable="MANDRILL_API_KEY"),),
    headers={},
    steps=(
        Listed(
            title="webhook",
            look=Call("POST", f"{_MANDRILL}/list.json", {"key": "{api_key}"}),
            items="",
            marks={"url": "{url}"},
            create=Call("POST", f"{_MANDRILL}/add.json", _MANDRILL_WEBHOOK),
            update=Call("POST", f"{_MANDRILL}/update.json", {**_MANDRILL_WEBHOOK, "id": "{id}"}),
        ),
    ),
    secrets={},
    reveals=(
        Revealed(
            "webhook_key",
            "auth_key",
            (Call("POST", f"{_MANDRILL}/info.json", {"key": "{api_key}", "id": "{id}"}),),
            until="{random}",
        ),
    ),
    afterwards="Replies: an inbound route to a source of its own.",
)
