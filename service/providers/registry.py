"""All adapters, by the name that a source gives."""

from __future__ import annotations

from service.providers.adapter import Adapter
from service.providers.email import mailgun, postmark, resend, sendgrid, ses
from service.providers.generic import standard_webhooks
from service.providers.messaging import meta, twilio

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        sendgrid.ADAPTER,
        mailgun.ADAPTER,
        ses.ADAPTER,
        postmark.ADAPTER,
        resend.ADAPTER,
        twilio.ADAPTER,
        meta.ADAPTER,
        standard_webhooks.ADAPTER,
        standard_webhooks.SVIX,
    )
}
