"""A brand's own identity provider: a person enrols with it and signs in, and nothing but its own word is taken."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from service.auth.roles import Role
from service.console.sign_in import provider
from service.egress.calling import Answer, CallFailed
from tests.api_fixtures import Api
from tests.console.visitors import HERE, Owner, Visitor, hidden, stranger
from tests.people import invited

ISSUER = "https://accounts.example"
CLIENT, SECRET = "console", "s:e/cret"

pytestmark = pytest.mark.one_process("the provider is asked by one process")


class Accounts:
    """An identity provider, as far as a client sees it."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", parameters={"kid": "k1"})
        self.claims: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []
        self.challenge = ""
        self.away = False

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a client."""
        self.asked.append((method, url))
        if self.away:
            raise CallFailed("is away")
        match urlsplit(url).path:
            case "/.well-known/openid-configuration":
                return self._json(
                    {
                        "issuer": ISSUER,
                        "authorization_endpoint": f"{ISSUER}/authorize",
                        "token_endpoint": f"{ISSUER}/token",
                        "jwks_uri": f"{ISSUER}/keys",
                    }
                )
            case "/keys":
                return self._json({"keys": [self.key.as_dict(private=False)]})
            case _:
                return self._token(headers, {name: values[0] for name, values in parse_qs(body.decode()).items()})

    def _token(self, headers: Mapping[str, str], form: dict[str, str]) -> Answer:
        pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        assert pair == "console:s%3Ae%2Fcret"
        assert form["redirect_uri"] == "http://rewards.test/console/provider/back"
        hashed = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == self.challenge
        return self._json({"id_token": jwt.encode({"alg": "ES256", "kid": "k1"}, self.claims, self.key)})

    @staticmethod
    def _json(content: Any) -> Answer:
        return Answer(200, msgspec.json.encode(content))


@pytest.fixture
async def accounts(api: Api, owner: Owner) -> Accounts:
    made = Accounts()
    api.services.identity_providers.ask = made.ask
    await provider.set_provider(owner, api.secrets.link_keys, "lumen", ISSUER, CLIENT, SECRET)
    return made


async def go(visitor: Visitor, path: str, accounts: Accounts, **changed: Any) -> dict[str, str]:
    """Go to the provider, which says who it is; what the browser comes back with."""
    there = await visitor.get(path)
    assert there.status_code == 303, there.text
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there.headers["location"]).query).items()}
    assert asked["scope"] == "openid email"
    assert asked["code_challenge_method"] == "S256"
    accounts.challenge = asked["code_challenge"]
    now = int(time.time())
    accounts.claims = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "ada-1",
        "email": "Ada@lumen.example",
        "email_verified": True,
        "nonce": asked["nonce"],
        "iat": now,
        "exp": now + 300,
        **changed,
    }
    return {"code": "c", "state": asked["state"]}


async def come_back(visitor: Visitor, brought: dict[str, str]) -> Any:
    return await visitor.browser.get("/console/provider/back", params=brought)


async def enrolled(api: Api, owner: Owner, accounts: Accounts) -> Visitor:
    visitor = stranger(api)
    invitation = (await invited(owner, Role.FINANCE)).text
    page = await visitor.browser.post("/console/enrol", data={"invitation": invitation}, headers=HERE)
    assert "Enrol with accounts.example" in page.text
    assert invitation not in str(page.url)
    assert hidden(page)["invitation"] == invitation
    brought = await go(visitor, "/console/provider?brand=lumen&enrol=yes", accounts)
    answer = await come_back(visitor, brought)
    assert answer.status_code == 303, answer.text
    return visitor


async def test_a_person_enrols_and_signs_in_with_the_brands_provider(api: Api, owner: Owner, accounts: Accounts) -> None:
    ada = await enrolled(api, owner, accounts)
    assert "Ada" in (await ada.get("/console")).text
    row = await owner.fetchrow("SELECT login, subject, password_hash FROM rewards.console_login")
    assert row is not None
    assert tuple(row) == ("ada@lumen.example", "ada-1", None)
    other = stranger(api)
    assert "Sign in with accounts.example" in (await other.get("/console/sign-in?brand=lumen")).text
    answer = await come_back(other, await go(other, "/console/provider?brand=lumen&next=/console/account", accounts))
    assert answer.headers["location"] == "/console/account"
    assert await other.is_signed_in()


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another client"},
        {"aud": [CLIENT, "another client"]},
        {"nonce": "another"},
        {"exp": 1},
        {"sub": None},
    ],
    ids=["issuer", "client", "clients", "nonce", "expired", "nobody"],
)
async def test_what_a_provider_says_otherwise_signs_nobody_in(
    api: Api, owner: Owner, accounts: Accounts, changed: dict[str, Any]
) -> None:
    await enrolled(api, owner, accounts)
    other = stranger(api)
    answer = await come_back(other, await go(other, "/console/provider?brand=lumen", accounts, **changed))
    assert answer.status_code == 422
    assert not await other.is_signed_in()


async def test_another_key_signs_nobody_in(api: Api, owner: Owner, accounts: Accounts) -> None:
    await enrolled(api, owner, accounts)
    other = stranger(api)
    brought = await go(other, "/console/provider?brand=lumen", accounts)
    signing, accounts.key = accounts.key, ECKey.generate_key("P-256", parameters={"kid": "k1"})
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, accounts.claims, accounts.key)
    accounts.key = signing
    accounts._token = lambda *_: Answer(200, msgspec.json.encode({"id_token": token}))  # type: ignore[method-assign]
    assert (await come_back(other, brought)).status_code == 422


@pytest.mark.parametrize("brought", [{"state": "x"}, {"code": ""}, {"state": "\u00e9"}])
async def test_only_the_browser_that_went_comes_back(
    api: Api, owner: Owner, accounts: Accounts, brought: dict[str, str]
) -> None:
    await enrolled(api, owner, accounts)
    other = stranger(api)
    right = await go(other, "/console/provider?brand=lumen", accounts)
    elsewhere = stranger(api)
    assert (await come_back(elsewhere, right)).status_code == 422
    assert (await come_back(other, right | brought)).status_code == (303 if brought == {"code": ""} else 422)


async def test_an_account_that_nobody_enrolled_is_told_so(api: Api, owner: Owner, accounts: Accounts) -> None:
    await enrolled(api, owner, accounts)
    other = stranger(api)
    answer = await come_back(other, await go(other, "/console/provider?brand=lumen", accounts, sub="bob-2"))
    assert "Enrol with your invitation first" in answer.text


async def test_an_email_that_is_not_verified_is_no_login(api: Api, owner: Owner, accounts: Accounts) -> None:
    visitor = stranger(api)
    invitation = (await invited(owner, Role.FINANCE)).text
    await visitor.browser.post("/console/enrol", data={"invitation": invitation}, headers=HERE)
    brought = await go(visitor, "/console/provider?brand=lumen&enrol=yes", accounts, email_verified=False)
    assert (await come_back(visitor, brought)).status_code == 303
    assert await owner.fetchval("SELECT login FROM rewards.console_login") == "subject ada-1"


async def test_a_provider_that_is_away_is_said_to_be(api: Api, accounts: Accounts) -> None:
    accounts.away = True
    answer = await stranger(api).get("/console/provider?brand=lumen")
    assert answer.status_code == 422
    assert "cannot be asked now" in answer.text


async def test_a_brand_without_one_has_no_link(api: Api, owner: Owner, accounts: Accounts) -> None:
    await provider.remove_provider(owner, "lumen")
    assert "Sign in with accounts" not in (await stranger(api).get("/console/sign-in?brand=lumen")).text
    assert (await stranger(api).get("/console/provider?brand=lumen")).status_code == 422
    assert (await stranger(api).get("/console/provider?brand=nobody")).status_code == 422


async def test_the_clients_secret_is_sealed(owner: Owner, accounts: Accounts) -> None:
    kept = await owner.fetchval("SELECT client_secret FROM rewards.identity_provider")
    assert SECRET.encode() not in kept


async def test_this_network_is_never_asked(api: Api) -> None:
    ask = provider.asking(api.services.resolver)
    for url in ("https://127.0.0.1/token", "http://accounts.example/token", "https://169.254.169.254/latest"):
        with pytest.raises(CallFailed):
            await ask("GET", url, {}, b"")
