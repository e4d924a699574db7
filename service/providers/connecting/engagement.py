"""Set-ups of engagement platforms."""

from __future__ import annotations

from service.providers.connecting.setup import Ask, Call, Listed, Setup

_CUSTOMER_IO = "https://api.customer.io/v1/reporting_webhooks"
_METRICS = ("sent", "delivered", "opened", "clicked", "converted", "bounced", "unsubscribed", "spammed", "failed")
_CUSTOMER_IO_WEBHOOK = {
    "name": "{title}",
    "endpoint": "{url}",
    "events": [
        *("customer_subscribed", "customer_unsubscribed"),
        *(f"email_{metric}" for metric in _METRICS),
        *(f"push_{metric}" for metric in ("sent", "delivered", "opened", "clicked", "converted", "bounced", "failed")),
        *(f"sms_{metric}" for metric in ("sent", "delivered", "clicked", "converted", "bounced", "failed")),
    ],
    "disabled": False,
    "full_resolution": True,
    "with_content": False,
}

CUSTOMER_IO = Setup(
    source="https://docs.customer.io/integrations/api/app/tag/reporting-webhooks/createWebhook/",
    asks=(
        Ask(name="api_key", title="Customer.io App API key", variable="CUSTOMERIO_APP_API_KEY"),
        Ask(
            name="signing_key",
            title="signing key of reporting webhooks (Data & Integrations, Integrations, Reporting Webhooks)",
            variable="CUSTOMERIO_WEBHOOK_SIGNING_KEY",
        ),
    ),
    headers={"Authorization": "Bearer {api_key}"},
    steps=(
        Listed(
            title="reporting webhook",
            look=Call("GET", _CUSTOMER_IO),
            items="reporting_webhooks",
            marks={"endpoint": "{url}"},
            create=Call("POST", _CUSTOMER_IO, _CUSTOMER_IO_WEBHOOK),
            update=Call("PUT", f"{_CUSTOMER_IO}/{{id}}", _CUSTOMER_IO_WEBHOOK),
        ),
    ),
    secrets={"signing_key": "{signing_key}"},
)

_KLAVIYO = "https://a.klaviyo.com/api/webhooks"
_TOPICS = (
    *("received_email", "opened_email", "clicked_email", "bounced_email", "dropped_email", "marked_email_as_spam"),
    *("unsubscribed_from_email_marketing", "subscribed_to_email_marketing", "sent_sms", "received_sms", "clicked_sms"),
    *("failed_to_deliver_sms", "unsubscribed_from_sms_marketing", "subscribed_to_sms_marketing"),
    *("received_push", "opened_push", "bounced_push"),
)
_KLAVIYO_ATTRIBUTES = {"name": "{title}", "endpoint_url": "{url}", "secret_key": "{password}"}
_KLAVIYO_TOPICS = {"webhook-topics": {"data": [{"type": "webhook-topic", "id": f"event:klaviyo.{topic}"} for topic in _TOPICS]}}

KLAVIYO = Setup(
    source="https://developers.klaviyo.com/en/reference/create_webhook",
    asks=(Ask(name="api_key", title="Klaviyo private API key", variable="KLAVIYO_API_KEY"),),
    headers={
        "Authorization": "Klaviyo-API-Key {api_key}",
        "revision": "2026-07-15",
        "Content-Type": "application/vnd.api+json",
        "Accept": "application/vnd.api+json",
    },
    steps=(
        Listed(
            title="system webhook",
            look=Call("GET", _KLAVIYO),
            items="data",
            # It shows only the beginning of an address.
            marks={"attributes.name": "{title}"},
            made_id="data.id",
            create=Call(
                "POST",
                _KLAVIYO,
                {"data": {"type": "webhook", "attributes": _KLAVIYO_ATTRIBUTES, "relationships": _KLAVIYO_TOPICS}},
            ),
            update=Call(
                "PATCH",
                f"{_KLAVIYO}/{{id}}",
                {
                    "data": {
                        "type": "webhook",
                        "id": "{id}",
                        "attributes": {**_KLAVIYO_ATTRIBUTES, "enabled": True},
                        "relationships": _KLAVIYO_TOPICS,
                    }
                },
            ),
        ),
    ),
    secrets={"webhook_secret": "{password}"},
)
