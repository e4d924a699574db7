"""All adapters, by the name that a source gives."""

from __future__ import annotations

from service.providers.adapter import Adapter
from service.providers.email import brevo, mailgun, mandrill, netcore, postmark, resend, sendgrid, ses, sparkpost
from service.providers.engagement import braze, customer_io, klaviyo, onesignal
from service.providers.generic import cloudevents, signed_json, standard_webhooks
from service.providers.messaging import bird, infobip, meta, rcs, twilio, vonage, x

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        sendgrid.ADAPTER,
        mailgun.ADAPTER,
        ses.ADAPTER,
        postmark.ADAPTER,
        resend.ADAPTER,
        sparkpost.ADAPTER,
        brevo.ADAPTER,
        mandrill.ADAPTER,
        netcore.ADAPTER,
        twilio.ADAPTER,
        meta.ADAPTER,
        vonage.ADAPTER,
        bird.ADAPTER,
        infobip.ADAPTER,
        rcs.ADAPTER,
        x.ADAPTER,
        customer_io.ADAPTER,
        braze.ADAPTER,
        onesignal.ADAPTER,
        klaviyo.ADAPTER,
        standard_webhooks.ADAPTER,
        standard_webhooks.SVIX,
        signed_json.ADAPTER,
        cloudevents.ADAPTER,
    )
}
