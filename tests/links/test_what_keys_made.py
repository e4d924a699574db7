"""What a key made never goes beyond it, can be listed, and is taken back with it unless somebody says otherwise."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from service.auth.actions import create_key, made_of, revoke_key
from service.tokens.ed25519_keys import is_good
from tests.api_fixtures import Api, make_brand
from tests.auth.test_quotas import within_a_minute
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline
from tests.links.test_offline_links import Signer

Owner: TypeAlias = "asyncpg.Connection[Any]"

WITHDRAWN = "This link was withdrawn"
MAKER = ["keys:write", "links:write", "customers:read", "customers:write"]


async def make(client: httpx.AsyncClient, name: str, **changed: Any) -> dict[str, Any]:
    answer = await client.post("/v1/keys", json={"name": name, "scopes": MAKER} | changed)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def mint(links: Links, key: str, message_id: str) -> str:
    """The path of a link that this key minted."""
    answer = await links.api.client(key=key).post("/v1/links", json={"links": [links.item(message_id=message_id)]})
    return answer.json()["results"][0]["url"].partition("rewards.test")[2]


class Family:
    """A key, a key that it made, and a key that that made; each with a link, a minting key, and a batch of codes."""

    def __init__(self, links: Links, keys: list[dict[str, Any]]) -> None:
        self.links = links
        self.keys = keys
        self.paths: dict[tuple[str, str], str] = {}

    async def works(self) -> set[tuple[str, str]]:
        """What is still good, as whose it is and of which kind."""
        good = {("key", each["name"]) for each in self.keys if (await self.client(each).get("/v1/meta")).status_code == 200}
        for (kind, name), path in self.paths.items():
            page = await self.links.api.client(None).get(path)
            if page.status_code == 200 and headline(page) != WITHDRAWN:
                good.add((kind, name))
        return good

    def client(self, key: dict[str, Any]) -> httpx.AsyncClient:
        return self.links.api.client(key=key["key"])


@pytest.fixture
async def family(links: Links, owner: Owner) -> Family:
    text, record = await create_key(owner, "lumen", "first", MAKER, "A")
    keys: list[dict[str, Any]] = [{"name": "first", "key": text, "id": f"key_{record.api_key_id}"}]
    for name in ("second", "third"):
        keys.append(await make(links.api.client(key=keys[-1]["key"]), name))
    made = Family(links, keys)
    for key in keys:
        name = key["name"]
        made.paths["link", name] = await mint(links, key["key"], f"m-{name}")
        signer = Signer(links)
        registered = await made.client(key).post("/v1/minting-keys", json={"name": name, "public_key": signer.public_key})
        signer.kid = registered.json()["kid"]
        asked = {"customers": [{"id": "C-1001"}], "destinations": ["https://shop.example/autumn"]}
        signer.numbers = (await links.api.client("messaging").post("/v1/link-numbers", json=asked)).json()
        made.paths["minting_key", name] = signer.path(m=f"signed-{name}")
        batch = {"id": name, "campaign": "autumn", "action": "click", "channel": "email", "codes": 2}
        (await made.client(key).post("/v1/code-batches", json=batch)).raise_for_status()
        file = (await made.client(key).get(f"/v1/code-batches/{name}/codes")).text
        made.paths["code", name] = file.splitlines()[1].split(",")[2].partition("rewards.test")[2]
    return made


def of(*names: str, kinds: tuple[str, ...] = ("key", "link", "minting_key", "code")) -> set[tuple[str, str]]:
    return set(itertools.product(kinds, names))


ALSO: list[tuple[list[str], set[tuple[str, str]]]] = [
    # what is said, and what is still good of first and second when second is revoked; first stays whatever is said
    ([], set()),
    (["all"], set()),
    (["nothing"], of("second", kinds=("link", "minting_key", "code")) | of("third")),
    (["keys"], of("second", "third", kinds=("link", "minting_key", "code"))),
    (["links"], of("second", kinds=("minting_key",)) | of("third")),
    (["minting_keys"], of("second", kinds=("link", "code")) | of("third")),
    (["keys", "links"], of("second", "third", kinds=("minting_key",))),
]


@pytest.mark.one_process("the process that revokes has to forget the keys, not one that is asked in turn")
@pytest.mark.parametrize(("also", "left"), ALSO)
async def test_a_key_takes_what_it_made_with_it(family: Family, also: list[str], left: set[tuple[str, str]]) -> None:
    assert await family.works() == of("first", "second", "third")
    admin = family.links.api.client("admin")
    revoked = await admin.delete(f"/v1/keys/{family.keys[1]['id']}", params={"also": also})
    assert (revoked.status_code, revoked.json()["id"]) == (200, family.keys[1]["id"])
    family.links.api.services.principals.forget()
    assert await family.works() == of("first") | left
    # Later it is taken all the same, and again it is harmless.
    for _ in range(2):
        again = await admin.delete(f"/v1/keys/{family.keys[1]['id']}")
        assert again.json() == revoked.json()
        family.links.api.services.principals.forget()
        assert await family.works() == of("first")
    trail = [(each["act"], each["subject"]) for each in (await admin.get("/v1/audit-trail?limit=1000")).json()["items"]]
    acts = [entry for entry in trail if entry[0].endswith(".revoke")]
    assert len(acts) == len(set(acts)) == 2 + 2 + 2
    assert {entry[0] for entry in acts} == {"key.revoke", "minting_key.revoke", "links.revoke"}


async def test_what_a_key_made_is_listed(family: Family, owner: Owner) -> None:
    admin = family.links.api.client("admin")
    url = f"/v1/keys/{family.keys[0]['id']}/made"
    items = (await admin.get(url)).json()["items"]
    first, second, third = (key["id"] for key in family.keys)
    assert [(each["kind"], each["name"], each["made_by"]) for each in items] == [
        ("key", "second", first),
        ("key", "third", second),
        *(("minting_key", key["name"], key["id"]) for key in family.keys),
        *(("code_batch", key["name"], key["id"]) for key in family.keys),
        *(("links", key["name"], key["id"]) for key in family.keys),
    ]
    assert not any(each["revoked_at"] for each in items)
    paged, after = list[dict[str, Any]](), None
    while True:
        page = (await admin.get(url, params={"limit": 4} | ({"after": after} if after else {}))).json()
        paged += page["items"]
        if (after := page["next"]) is None:
            break
    assert paged == items
    (await admin.delete(f"/v1/keys/{second}")).raise_for_status()
    revoked = {(each["kind"], each["made_by"]) for each in (await admin.get(url)).json()["items"] if each["revoked_at"]}
    kinds = ("minting_key", "code_batch", "links")
    assert revoked == {("key", first), ("key", second), *itertools.product(kinds, (second, third))}
    # Another brand's key is no key.
    await make_brand(owner, "other")
    stranger, _ = await create_key(owner, "other", "x", ["keys:write"])
    assert (await family.links.api.client(key=stranger).get(url)).status_code == 404
    for unknown in ("key_999", "key_0", "x"):
        assert (await admin.get(f"/v1/keys/{unknown}/made")).status_code == 404
    assert (await family.links.api.client("messaging").get(url)).status_code == 403


async def test_the_operator_takes_it_back_likewise(family: Family, owner: Owner) -> None:
    await revoke_key(owner, "lumen", family.keys[1]["id"].removeprefix("key_"), made_of(["links"]))
    await revoke_key(owner, "lumen", family.keys[1]["id"].removeprefix("key_"))
    admin = family.links.api.client("admin")
    trail = [each for each in (await admin.get("/v1/audit-trail?limit=1000")).json()["items"] if "revoke" in each["act"]]
    assert {each["principal"] for each in trail} == {"operator"}
    assert len(trail) == 6
    listed = (await admin.get("/v1/link-revocations")).json()["items"]
    assert {each["revoked_by"] for each in listed} == {"operator"}


async def test_a_quota_is_shared_by_all_that_come_from_it(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        text, _ = await create_key(owner, "lumen", "limited", ["keys:write", "ledger:read"], quota_per_minute=12)
        asked = {"scopes": ["keys:write", "ledger:read"]}
        # Each of these costs one of the twelve.
        children = [await make(api.client(key=text), f"child {n}", **asked) for n in range(3)]
        grandchild = await make(api.client(key=children[0]["key"]), "grandchild", **asked)
        statuses = [
            (await api.client(key=key["key"]).get("/v1/ledger/trial-balance")).status_code
            for key in [*children, grandchild] * 4
        ]
        assert statuses.count(200) == 12 - 4
        assert set(statuses) == {200, 429}
        # Who was made by a key without a quota has only its own.
        free = await make(api.client("admin"), "free", scopes=["ledger:read"], quota_per_minute=2)
        assert [(await api.client(key=free["key"]).get("/v1/meta")).status_code for _ in range(3)] == [200, 200, 429]

    await within_a_minute(owner, attempt)


async def test_a_smaller_quota_binds_those_that_come_from_it_too(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        text, _ = await create_key(owner, "lumen", "limited", ["keys:write", "ledger:read"], quota_per_minute=1_000)
        asked = {"scopes": ["keys:write", "ledger:read"]}
        small = await make(api.client(key=text), "small", quota_per_minute=4, **asked)
        below = [await make(api.client(key=small["key"]), f"below {n}", **asked) for n in range(2)]
        statuses = [(await api.client(key=key["key"]).get("/v1/meta")).status_code for key in below * 3]
        assert statuses.count(200) == 4 - 2
        assert (await api.client(key=text).get("/v1/meta")).status_code == 200

    await within_a_minute(owner, attempt)


async def test_keys_with_a_quota_are_made_so_deep_and_no_deeper(api: Api, owner: Owner) -> None:
    key, _ = await create_key(owner, "lumen", "limited", ["keys:write", "ledger:read"], quota_per_minute=1_000)
    for depth in range(8):
        key = (await make(api.client(key=key), f"depth {depth}", scopes=["keys:write", "ledger:read"]))["key"]
    refused = await api.client(key=key).post("/v1/keys", json={"name": "too deep", "scopes": ["ledger:read"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_field")


async def test_what_is_signed_elsewhere_goes_beyond_no_key(links: Links, owner: Owner) -> None:
    limited, _ = await create_key(owner, "lumen", "limited", MAKER, quota_per_minute=10)
    signer = Signer(links)
    asked = {"name": "x", "public_key": signer.public_key}
    refused = await links.api.client(key=limited).post("/v1/minting-keys", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (403, "beyond_this_key")
    batch = {"id": "b", "campaign": "autumn", "action": "click", "channel": "email", "codes": 11}
    assert (await links.api.client(key=limited).post("/v1/code-batches", json=batch)).json()["code"] == "too_large"

    until = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    short, _ = await create_key(owner, "lumen", "short", MAKER, expires_at=until)
    registered = (await links.api.client(key=short).post("/v1/minting-keys", json=asked)).json()
    assert is_good(signer.private_key.public_key().public_bytes_raw())
    assert datetime.fromisoformat(registered["expires_at"]) == until
    signer.kid = registered["kid"]
    numbers = {"customers": [{"id": "C-1001"}], "destinations": ["https://shop.example/autumn"]}
    signer.numbers = (await links.api.client("messaging").post("/v1/link-numbers", json=numbers)).json()
    seen, unseen = signer.path(), signer.path(m="newsletter-0413")
    assert (await links.api.client(None).get(seen)).status_code == 200
    await owner.execute("UPDATE rewards.minting_key SET expires_at = now()")
    # It may be dated back: what nobody has followed in time is too late; what somebody has is a link like any other.
    assert (await links.api.client(None).get(unseen)).status_code == 404
    assert headline(await claim(links, seen)) == "25 Lumens added"


@pytest.mark.one_process("the process must remember the key from its last request")
async def test_a_key_that_was_revoked_a_moment_ago_registers_nothing(links: Links, owner: Owner) -> None:
    key, made = await create_key(owner, "lumen", "leaver", MAKER)
    client = links.api.client(key=key)
    assert (await client.get("/v1/meta")).status_code == 200
    await revoke_key(owner, "lumen", made.api_key_id)
    asked = {"name": "x", "public_key": Signer(links).public_key}
    answer = await client.post("/v1/minting-keys", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
