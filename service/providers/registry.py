"""All adapters, by the name that a source gives."""

from __future__ import annotations

from service.providers.adapter import Adapter
from service.providers.email import sendgrid
from service.providers.generic import standard_webhooks

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        sendgrid.ADAPTER,
        standard_webhooks.ADAPTER,
        standard_webhooks.SVIX,
    )
}
