"""The set-ups by provider, and what to do by hand where a provider's API for it is not public, or is none."""

from __future__ import annotations

from service.providers.connecting import email, engagement, messaging
from service.providers.connecting.setup import Setup

SETUPS: dict[str, Setup] = {
    "sendgrid": email.SENDGRID,
    "mailgun": email.MAILGUN,
    "postmark": email.POSTMARK,
    "resend": email.RESEND,
    "sparkpost": email.SPARKPOST,
    "brevo": email.BREVO,
    "mandrill": email.MANDRILL,
    "twilio": messaging.TWILIO,
    "meta": messaging.META,
    "vonage": messaging.VONAGE,
    "x": messaging.X,
    "customer_io": engagement.CUSTOMER_IO,
    "klaviyo": engagement.KLAVIYO,
}

BY_HAND: dict[str, str] = {
    "ses": "in SNS, a topic with an HTTPS subscription to the address (raw message delivery off); in SES, the topic as event "
    "destination of a configuration set; topic_arn is the topic's ARN",
    "netcore": "Settings, Webhooks: the address with ?secret= and a password behind it, which is url_secret",
    "bird": "webhook subscriptions for sms.outbound, whatsapp.inbound and the like, with a signing key of your own, which is "
    "signing_key",
    "infobip": "Developer tools, Subscriptions management: the address, with basic_auth or bearer_token as authentication",
    "rcs": "Business Communications developer console, your agent, Integrations, Webhook: the address; client_token is its "
    "clientToken. Make the source before you click Verify",
    "braze": "Partner integrations, Data export, Create new Current, Custom: the address, with a bearer token of your own, "
    "which is bearer_token",
    "onesignal": "Data, Event Streams, New: the address, with a custom header X-Reward-Secret, whose value is secret_header",
    "standard_webhooks": "it is your own system that signs, with signing_secret or the private key of public_key",
    "svix": "a new endpoint with the address; signing_secret is its signing secret",
    "signed_json": "it is your own system that signs, with shared_secret",
    "cloudevents": "it is your own system that signs, with signing_secret, or presents bearer_token or basic_auth",
}
"""What to do in their console, by the names of the source's secrets."""
