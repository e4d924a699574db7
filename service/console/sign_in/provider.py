"""A brand's own identity provider: OpenID Connect Core 1.0, code flow, with PKCE (RFC 7636).

    provider_of   a brand's provider, as `rewards brand set-identity-provider` has set it
    begin         where a browser is sent, and with which cookie
    finish        what the provider says of the person who came back

What is to be compared when the browser comes back is sealed in a cookie of its own, so nothing is kept here meanwhile. The
provider is asked through ``service.egress`` alone: it is on the public internet, and its certificate is checked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import asyncpg
import jwt
import msgspec

from service.auth.audit_trail import record_by_operator
from service.brands.errors import BrandUnknown
from service.concurrency.ttl_cache import TtlCache
from service.console.sign_in.actions import Refused
from service.console.sign_in.sessions import cookie, cookie_name
from service.crypto.derived_keys import derived_keys
from service.crypto.sealing import SealBroken, opened, sealed
from service.egress.calling import Answer, CallFailed, Request, call_at, pinned_to, target_of
from service.egress.resolving import Resolver
from service.settings import LinkKey, Settings

if TYPE_CHECKING:
    from service.services import Services

CALLBACK = "/console/provider/back"
STATE_LIFE_S = 600
METADATA_LIFE_S = 600.0
TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 256 * 1024
CLOCKS_APART_S = 60
ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
_OK = 200
_INVITATION = "console-invitation"
_WRONG = "The identity provider did not say who you are. Try again."
_SECRET, _STATE = "console identity providers 1", "console states 1"
_SET = """
    INSERT INTO rewards.identity_provider (brand_id, issuer, client_id, client_secret) VALUES ($1, $2, $3, $4)
    ON CONFLICT (brand_id) DO UPDATE SET issuer = $2, client_id = $3, client_secret = $4, changed_at = now()
"""
_PROVIDER = "SELECT brand_id, issuer, client_id, client_secret FROM rewards.identity_provider WHERE brand_id = $1"

T = TypeVar("T")

Ask = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Answer]]
"""Asks for a URL: with a method, headers and a body."""


class ProviderInvalid(Exception):
    """The provider cannot be set as described; the message says what would be right."""


class Provider(msgspec.Struct, frozen=True):
    """A brand's provider, as the operator has set it."""

    brand_id: int
    issuer: str
    client_id: str
    client_secret: str


class Metadata(msgspec.Struct, frozen=True):
    """Where a provider has what (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class State(msgspec.Struct, frozen=True):
    """What a browser brings back."""

    brand_id: int
    state: str
    nonce: str
    verifier: str
    onward: str
    invitation: str
    made_at: int


class Claims(msgspec.Struct, frozen=True):
    """What a provider says of somebody, checked; and what they came for."""

    brand_id: int
    subject: str
    email: str
    onward: str
    invitation: str


def asking(resolver: Resolver) -> Ask:
    """Ask hosts on the public internet."""

    async def ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        request = Request(method, target_of(url), headers, body)
        pinned = await pinned_to(resolver, url)
        context = ssl.create_default_context()
        return await call_at(pinned, request, context, timeout_s=TIMEOUT_S, bytes_max=ANSWER_BYTES_MAX)

    return ask


class _Token(msgspec.Struct, frozen=True):
    """What a token endpoint answers, as far as it matters here."""

    id_token: str


class IdentityProviders:
    """Brands' providers, and how they are asked."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self._metadata: TtlCache[str, Metadata] = TtlCache(self._read_metadata, ttl_s=METADATA_LIFE_S)

    async def metadata(self, provider: Provider) -> Metadata:
        """Where the provider has what. Raises `Refused`."""
        return await self._metadata.get(provider.issuer)

    async def _read_metadata(self, issuer: str) -> Metadata:
        found = await self._json(Metadata, "GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.issuer != issuer:
            raise Refused(_WRONG)
        return found

    async def keys(self, metadata: Metadata) -> jwt.PyJWKSet:
        """The keys with which the provider signs now. Raises `Refused`."""
        return jwt.PyJWKSet.from_dict(await self._json(dict[str, Any], "GET", metadata.jwks_uri))

    async def token(self, provider: Provider, metadata: Metadata, form: Mapping[str, str]) -> str:
        """The ID token that a code is good for. Raises `Refused`."""
        pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        answer = await self._json(_Token, "POST", metadata.token_endpoint, headers, urlencode(form).encode())
        return answer.id_token

    async def _json(self, kind: type[T], method: str, url: str, headers: Mapping[str, str] = {}, body: bytes = b"") -> T:
        try:
            answer = await self.ask(method, url, {"Accept": "application/json", **headers}, body)
            if answer.status != _OK:
                raise Refused(_WRONG)
            return msgspec.json.decode(answer.body, type=kind)
        except (CallFailed, msgspec.DecodeError) as error:
            raise Refused("The identity provider cannot be asked now. Try again, or tell the operator.") from error


def secret_sealed(keys: Sequence[LinkKey], brand_id: int, client_secret: str) -> bytes:
    """A client's secret, as it is kept."""
    return sealed(client_secret.encode(), derived_keys(keys, _SECRET)[0], place=b"%d" % brand_id)


async def provider_of(services: Services, brand_id: int) -> Provider | None:
    """A brand's provider, if it has one. Raises `Refused`."""
    row = await services.pool.fetchrow(_PROVIDER, brand_id)
    if row is None:
        return None
    keys = derived_keys(services.secrets.link_keys, _SECRET)
    try:
        secret = opened(row["client_secret"], keys, place=b"%d" % row["brand_id"])
    except SealBroken:
        raise Refused("The secret of the identity provider cannot be read any more: the operator has to set it.") from None
    return Provider(row["brand_id"], row["issuer"], row["client_id"], secret.decode())


async def begin(services: Services, provider: Provider, *, onward: str, invitation: str = "") -> tuple[str, str]:
    """Where a browser is sent, and the cookie that it is to bring back. Raises `Refused`."""
    metadata = await services.identity_providers.metadata(provider)
    state = State(
        brand_id=provider.brand_id,
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        onward=onward,
        invitation=invitation,
        made_at=int(datetime.now(UTC).timestamp()),
    )
    asked = {
        "response_type": "code",
        "scope": "openid email",
        "client_id": provider.client_id,
        "redirect_uri": _callback(services.settings),
        "state": state.state,
        "nonce": state.nonce,
        "code_challenge": _encoded(hashlib.sha256(state.verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in metadata.authorization_endpoint else "?"
    kept = _encoded(sealed(msgspec.json.encode(state), _state_keys(services)[0], place=b"state"))
    return f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}", _cookie(services.settings, kept, STATE_LIFE_S)


async def finish(services: Services, cookies: Mapping[str, str], query: Mapping[str, str]) -> Claims:
    """What the provider says of the person who came back. Raises `Refused`."""
    state = _state(services, cookies.get(_name(services.settings), ""))
    if not hmac.compare_digest(state.state.encode(), query.get("state", "").encode()) or "code" not in query:
        raise Refused(_WRONG)
    provider = await provider_of(services, state.brand_id)
    if provider is None:
        raise Refused(_WRONG)
    providers = services.identity_providers
    metadata = await providers.metadata(provider)
    form = {
        "grant_type": "authorization_code",
        "code": query["code"],
        "redirect_uri": _callback(services.settings),
        "code_verifier": state.verifier,
    }
    token = await providers.token(provider, metadata, form)
    said = _checked(token, await providers.keys(metadata), provider, state)
    email = str(said.get("email", "")) if said.get("email_verified") is True else ""
    return Claims(state.brand_id, str(said["sub"]), email, state.onward, state.invitation)


def invitation_cookie(services: Services, invitation: str) -> str:
    """What brings a person's invitation to the provider and back, if they go there: it is in no address."""
    kept = _encoded(sealed(invitation.encode(), _state_keys(services)[0], place=b"invitation"))
    return cookie(services.settings, cookie_name(services.settings, _INVITATION), kept, STATE_LIFE_S)


def invitation_in(services: Services, cookies: Mapping[str, str]) -> str:
    """The invitation of the person who is on their way to enrol, or nothing."""
    kept = cookies.get(cookie_name(services.settings, _INVITATION), "")
    try:
        return opened(_decoded(kept), _state_keys(services), place=b"invitation").decode()
    except (SealBroken, ValueError):
        return ""


def _checked(token: str, keys: jwt.PyJWKSet, provider: Provider, state: State) -> dict[str, Any]:
    """The claims of an ID token (OpenID Connect Core, 3.1.3.7). Raises `Refused`."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        fitting = [key for key in keys.keys if kid is None or key.key_id == kid]
        claims: dict[str, Any] = jwt.decode(
            token,
            fitting[0].key,
            algorithms=list(ALGORITHMS),
            audience=provider.client_id,
            issuer=provider.issuer,
            leeway=CLOCKS_APART_S,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
    except (jwt.PyJWTError, IndexError, TypeError) as error:
        raise Refused(_WRONG) from error
    others = claims["aud"] != provider.client_id and claims.get("azp") != provider.client_id
    if others or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), state.nonce.encode()):
        raise Refused(_WRONG)
    return claims


def _state(services: Services, kept: str) -> State:
    try:
        content = opened(_decoded(kept), _state_keys(services), place=b"state")
    except (SealBroken, ValueError):
        raise Refused(_WRONG) from None
    state = msgspec.json.decode(content, type=State)
    if datetime.now(UTC).timestamp() - state.made_at > STATE_LIFE_S:
        raise Refused("This took too long. Try again.")
    return state


def _state_keys(services: Services) -> Sequence[bytes]:
    return derived_keys(services.secrets.link_keys, _STATE)


def _callback(settings: Settings) -> str:
    return settings.base_url + CALLBACK


def _name(settings: Settings) -> str:
    return cookie_name(settings, "console-provider")


def _cookie(settings: Settings, kept: str, life_s: int) -> str:
    return cookie(settings, _name(settings), kept, life_s)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def set_provider(
    connection: asyncpg.Connection[Any], keys: Sequence[LinkKey], brand_code: str, issuer: str, client_id: str, secret: str
) -> None:
    """Set a brand's provider, over the owner's connection. Raises `BrandUnknown` or `ProviderInvalid`."""
    if not issuer.startswith("https://") or not client_id or not secret:
        raise ProviderInvalid("the issuer must begin with https://, and the client needs an id and a secret")
    brand_id = await _brand_id(connection, brand_code)
    async with connection.transaction():
        await connection.execute(_SET, brand_id, issuer, client_id, secret_sealed(keys, brand_id, secret))
        after = {"issuer": issuer, "client_id": client_id}
        await record_by_operator(connection, brand_id, "brand.set_identity_provider", brand_code, after=after)


async def remove_provider(connection: asyncpg.Connection[Any], brand_code: str) -> None:
    """Remove a brand's provider: nobody signs in there any more. Raises `BrandUnknown`."""
    brand_id = await _brand_id(connection, brand_code)
    async with connection.transaction():
        await connection.execute("DELETE FROM rewards.identity_provider WHERE brand_id = $1", brand_id)
        await record_by_operator(connection, brand_id, "brand.remove_identity_provider", brand_code)


async def _brand_id(connection: asyncpg.Connection[Any], code: str) -> int:
    brand_id = await connection.fetchval("SELECT brand_id FROM rewards.brand WHERE code = $1", code)
    if brand_id is None:
        raise BrandUnknown(f"There is no brand {code!r}.")
    return brand_id
