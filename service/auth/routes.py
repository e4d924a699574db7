"""``GET /v1/meta``: what a key is good for."""

from __future__ import annotations

from importlib.metadata import version

from litestar import get
from litestar.di import NamedDependency

from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.schemas import MetaResponse

VERSION = version("atomic-rewards")


@get("/v1/meta", guards=[requires()], tags=["meta"], summary="Who am I?")
async def read_meta(principal: NamedDependency[Principal]) -> MetaResponse:
    """Return the version of this service and the brand, mode and scopes of the API key that asks."""
    return MetaResponse.of(principal, VERSION)


route_handlers = [read_meta]
