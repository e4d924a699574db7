"""What a simulated request is about, and the bodies that it is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlencode

import msgspec

from service.providers.types import ProviderRequest


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Whom and what a request is about."""

    email: str = "anna@example.com"
    phone: str = "+4930901820"
    customer: str = "crm-42"
    token: str = "token.of.a-link"
    campaign: str = "espresso-week"
    message: str = "msg-0001"
    """The provider's id of the message."""
    replied_to: str = "sent-0001@mail.example"
    """The ``Message-ID`` of the message that a reply by email answers."""
    event: str = "evt-0001"
    """The provider's id of the event, where it has one."""
    page: str = "https://shop.example/espresso?a=1"
    """What was clicked."""
    said: str = "Yes, please!"
    """What was replied."""
    at: datetime = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    url: str = "https://rewards.example/v1/ingest/src_1"
    """Where the source receives."""
    count: int = 1
    """How many events a request has, where the provider sends several at once."""

    @property
    def seconds(self) -> int:
        """When it happened, in seconds since 1970."""
        return int(self.at.timestamp())

    @property
    def iso(self) -> str:
        """When it happened, in ISO 8601."""
        return self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    @property
    def ours(self) -> dict[str, str]:
        """What a brand puts into the provider's opaque field."""
        return {"reward_token": self.token, "reward_campaign": self.campaign}

    @property
    def ours_as_query(self) -> str:
        """The same as one text."""
        return urlencode(self.ours)

    def each(self) -> list[Occasion]:
        """As many occasions as the request has events, of different people."""
        numbers = range(self.count)
        return [self] if self.count == 1 else [self.of_person(number) for number in numbers]

    def of_person(self, number: int) -> Occasion:
        """The same of somebody else."""
        return msgspec.structs.replace(
            self,
            email=f"{number}.{self.email}",
            phone=f"+{int(self.phone) + number}",
            customer=f"{self.customer}-{number}",
            message=f"{self.message}-{number}",
            event=f"{self.event}-{number}",
            count=1,
        )


Build: TypeAlias = Callable[[Occasion], ProviderRequest]
Samples: TypeAlias = Mapping[str, Mapping[str, Build]]
"""By provider and event."""


def json_request(occasion: Occasion, body: Any, **headers: str) -> ProviderRequest:
    """A request with a JSON body, written as compactly as most providers do."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ProviderRequest("POST", occasion.url, {"content-type": "application/json", **named}, text.encode())


def form_request(occasion: Occasion, fields: Mapping[str, str], url: str | None = None) -> ProviderRequest:
    """A request with a form."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return ProviderRequest("POST", url or occasion.url, headers, urlencode(fields).encode())


def multipart_request(occasion: Occasion, fields: Mapping[str, str]) -> ProviderRequest:
    """A request with a form that could have files."""
    boundary = "xYzZY"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    body = "".join(parts) + f"--{boundary}--\r\n"
    return ProviderRequest("POST", occasion.url, {"content-type": f"multipart/form-data; boundary={boundary}"}, body.encode())
