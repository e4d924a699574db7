"""Persons: enrolled by a secret that no holder of a key sees, and whose keys are whose."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from service.admission.failed_attempts import MISSES_MAX
from service.auth.actions import create_key, find_key
from service.auth.api_keys import hash_key, make_key
from service.auth.roles import SCOPES, Role, scopes_of
from service.auth.scopes import Scope, conflict
from service.persons import actions
from service.persons.errors import PersonInvalid, PersonUnknown
from service.storage.database import APPLICATION_ROLE, READER_ROLE, WORKER_ROLE, connect
from tests.api_fixtures import Api, make_brand
from tests.conftest import Database
from tests.people import enrol, enrolled, invited

Owner: TypeAlias = "asyncpg.Connection[Any]"


async def of_person(owner: Owner) -> list[tuple[int, int | None]]:
    rows = await owner.fetch("SELECT api_key_id, person_id FROM rewards.api_key WHERE person_id IS NOT NULL ORDER BY 1")
    return [(row["api_key_id"], row["person_id"]) for row in rows]


async def test_an_invitation_is_good_for_one_key_with_the_scopes_of_its_roles(api: Api, owner: Owner) -> None:
    invitation = await invited(owner)
    answer = await enrol(api, invitation.text)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["person"]["id"], made["person"]["state"], made["person"]["roles"]) == ("per_1", "enrolled", ["finance"])
    meta = (await api.client(key=made["key"]).get("/v1/meta")).json()
    assert (meta["person"], meta["scopes"], meta["key_name"]) == ("per_1", sorted(SCOPES[Role.FINANCE]), "Ada")
    again = await enrol(api, invitation.text)
    assert (again.status_code, again.json()["code"]) == (410, "invitation_refused")


async def test_an_invitation_that_is_over_or_none_is_refused(api: Api, owner: Owner) -> None:
    expired = await invited(owner)
    await owner.execute("UPDATE rewards.person SET invitation_expires_at = now()")
    disabled = await invited(owner)
    await actions.disable(owner, "lumen", disabled.person.person_id)
    replaced = await invited(owner)
    newer = await actions.invite_again(owner, "lumen", replaced.person.person_id)
    none = f"ri_test_{make_key('test')[8:]}"
    other_mode = newer.text.replace("ri_test_", "ri_live_")
    for text in (expired.text, disabled.text, replaced.text, none, other_mode, "ri_test_", "x"):
        answer = await enrol(api, text)
        assert (answer.status_code, answer.json()["code"]) == (410, "invitation_refused"), text
    assert (await enrol(api, newer.text)).status_code == 201


async def test_of_two_at_once_one_enrols(api: Api, owner: Owner) -> None:
    invitation = await invited(owner)
    answers = await asyncio.gather(*(enrol(api, invitation.text) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 410, 410, 410]
    assert len(await of_person(owner)) == 1


@pytest.mark.one_process("each process counts for itself")
async def test_guesses_are_counted_and_then_refused_without_a_look_up(api: Api, owner: Owner) -> None:
    for _ in range(MISSES_MAX):
        assert (await enrol(api, "ri_test_" + "A" * 43)).status_code == 410
    answer = await enrol(api, (await invited(owner)).text)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_guesses")
    assert int(answer.headers["retry-after"]) > 0


async def test_no_answer_and_no_entry_shows_an_invitation(api: Api, owner: Owner) -> None:
    texts = [(await invited(owner, name=name)).text for name in ("Ada", "Ben")]
    await enrol(api, texts[0])
    seen = [(await api.client("admin").get(path)).text for path in ("/v1/persons", "/v1/audit-trail", "/v1/keys", "/v1/brand")]
    seen += [str(await owner.fetch(f"SELECT * FROM rewards.{table}")) for table in ("person", "audit_trail")]
    for text in texts:
        assert not any(text in each or text[8:] in each for each in seen)


async def test_a_key_of_a_persons_key_is_the_same_persons(api: Api, owner: Owner) -> None:
    operator = await enrolled(api, owner, Role.OPERATOR)
    client = api.client(key=operator["key"])
    child = (await client.post("/v1/keys", json={"name": "child", "role": "operator"})).json()
    grandchild = await api.client(key=child["key"]).post("/v1/keys", json={"name": "x", "scopes": ["admin"]})
    assert [(key["person"], key["made_by"]) for key in (child, grandchild.json())] == [
        ("per_1", operator["key_id"]),
        ("per_1", child["id"]),
    ]
    assert child["scopes"] == sorted(SCOPES[Role.OPERATOR])
    by_system = (await api.client("admin").post("/v1/keys", json={"name": "y", "scopes": ["admin"]})).json()
    assert (by_system["person"], by_system["made_by"]) == (None, "key_1")
    entries = (await api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
    assert [(entry["act"], entry["person"]) for entry in entries[-5:]] == [
        ("person.invite", None),
        ("person.enrol", "per_1"),
        ("key.create", "per_1"),
        ("key.create", "per_1"),
        ("key.create", None),
    ]


async def test_a_role_gives_no_scope_that_the_calling_key_lacks(api: Api, owner: Owner) -> None:
    operator = api.client(key=(await enrolled(api, owner, Role.OPERATOR))["key"])
    answer = await operator.post("/v1/keys", json={"name": "x", "role": "approver"})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    answer = await operator.post("/v1/keys", json={"name": "x", "role": "nobody"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/role")


async def test_with_a_disabled_person_all_their_keys_are_revoked(api: Api, owner: Owner) -> None:
    ada = await enrolled(api, owner, Role.OPERATOR)
    child = (await api.client(key=ada["key"]).post("/v1/keys", json={"name": "child", "scopes": ["admin"]})).json()
    other = await enrolled(api, owner, Role.FINANCE, name="Ben")
    answer = await api.client("admin").delete("/v1/persons/per_1")
    assert (answer.status_code, answer.json()["state"]) == (200, "disabled")
    assert (await api.client("admin").delete("/v1/persons/per_1")).json() == answer.json()
    revoked = {key["id"]: key["revoked_at"] for key in (await api.client("admin").get("/v1/keys")).json()["items"]}
    assert revoked[ada["key_id"]] is not None
    assert revoked[child["id"]] is not None
    assert revoked[other["key_id"]] is None
    entries = (await api.client("admin").get("/v1/audit-trail?limit=1000")).json()["items"]
    disabled = [entry for entry in entries if entry["act"] == "person.disable"]
    assert [(entry["subject"], entry["principal"]) for entry in disabled] == [("per_1", "key_1")]
    with pytest.raises(PersonUnknown):
        await actions.invite_again(owner, "lumen", 1)


async def test_a_key_that_is_being_made_is_revoked_with_its_person(api: Api, owner: Owner, database: Database) -> None:
    ada = await enrolled(api, owner, Role.OPERATOR)
    maker = await connect(database.application_url, APPLICATION_ROLE)
    making = maker.transaction()
    await making.start()
    made = await maker.fetchval(
        "SELECT rewards.create_key_v2($1, $2, 'rk_test_late', 'late', ARRAY['admin'], 'C', NULL, NULL, NULL)",
        hash_key(ada["key"]),
        hash_key(make_key("test")),
    )
    disabling = asyncio.create_task(actions.disable(owner, "lumen", 1))
    other = await connect(database.owner_url)
    while not await other.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"):
        pass
    await making.commit()
    await disabling
    assert (await find_key(other, "lumen", made)).record.revoked_at is not None
    await maker.close()
    await other.close()


async def test_persons_are_a_matter_of_their_brand_and_of_the_scope(api: Api, owner: Owner) -> None:
    await enrolled(api, owner, Role.AUDITOR)
    await make_brand(owner, code="other")
    foreign = api.client(key=(await create_key(owner, "other", "other", ["keys:write", "audit:read"]))[0])
    assert (await foreign.get("/v1/persons")).json()["items"] == []
    assert (await foreign.delete("/v1/persons/per_1")).status_code == 404
    with pytest.raises(PersonUnknown):
        await actions.disable(owner, "other", 1)
    for unknown in ("per_99", "per_0", "1", "per_99999999999"):
        assert (await api.client("admin").delete(f"/v1/persons/{unknown}")).status_code == 404, unknown
    for answer in (await api.client("finance").get("/v1/persons"), await api.client("finance").delete("/v1/persons/per_1")):
        assert answer.json()["code"] == "missing_scope"


async def test_persons_come_in_pages_in_the_order_of_their_invitations(api: Api, owner: Owner) -> None:
    await enrolled(api, owner, Role.AUDITOR, name="Ada")
    for name in ("Ben", "Cy"):
        await invited(owner, name=name)
    await actions.disable(owner, "lumen", 3)
    first = (await api.client("admin").get("/v1/persons?limit=2")).json()
    second = (await api.client("admin").get(f"/v1/persons?limit=2&after={first['next']}")).json()
    shown = [(each["name"], each["state"]) for each in first["items"] + second["items"]]
    assert shown == [("Ada", "enrolled"), ("Ben", "invited"), ("Cy", "disabled")]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("name", "roles", "wrong"),
    [
        ("", ["finance"], "name must be"),
        ("a\nb", ["finance"], "name must be"),
        ("Ada", [], "at least one role"),
        ("Ada", ["king"], "'king' is not a role; there are issuer, redeemer"),
        ("Ada", ["finance", "issuer"], "both"),
        ("Ada", ["approver", "issuer"], "both"),
        ("Ada", ["approver", "finance"], "both"),
    ],
)
async def test_whom_no_brand_can_have_is_not_invited(api: Api, owner: Owner, name: str, roles: list[str], wrong: str) -> None:
    with pytest.raises(PersonInvalid, match=wrong):
        await actions.invite(owner, "lumen", name, roles)
    assert await owner.fetchval("SELECT count(*) FROM rewards.person") == 0


def test_no_role_has_scopes_of_two_duties_and_every_scope_is_in_a_role() -> None:
    assert not [role for role in Role if conflict(SCOPES[role])]
    assert scopes_of(Role) == set(Scope)


def test_the_documentation_has_the_scopes_of_every_role() -> None:
    text = (Path(__file__).parents[2] / "docs/keys.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ((?:`[a-z]+:?[a-z]*` ?)+)\|$", text.partition("## Roles")[2], re.MULTILINE)
    told = {role: set(re.findall(r"`([^`]+)`", scopes)) for role, scopes in rows}
    assert told == {str(role): set(scopes) for role, scopes in SCOPES.items()}


@pytest.mark.parametrize("role", [APPLICATION_ROLE, WORKER_ROLE, READER_ROLE])
@pytest.mark.parametrize(
    "forgery",
    [
        "SELECT invitation_hash FROM rewards.person",
        "INSERT INTO rewards.person (brand_id, name, roles, scopes) VALUES (1, 'x', '{approver}', '{grants:approve}')",
        "UPDATE rewards.person SET scopes = '{admin}'",
        "UPDATE rewards.person SET enrolled_at = '2000-01-01'",
        "DELETE FROM rewards.person",
        "UPDATE rewards.api_key SET person_id = NULL",
        "SELECT rewards.disable_person_v1(1, 1, NULL)",
    ],
)
async def test_no_role_of_the_service_makes_or_changes_a_person(api: Api, database: Database, role: str, forgery: str) -> None:
    connection = await connect(database.application_url, role)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(forgery)
    await connection.close()


async def test_the_database_takes_no_hash_of_a_key_that_may_not_disable(api: Api, owner: Owner, database: Database) -> None:
    await invited(owner)
    intruder = await connect(database.application_url, APPLICATION_ROLE)
    for key in (api.keys["finance"], make_key("test")):
        assert await intruder.fetchval("SELECT rewards.disable_person_v2($1, 1)", hash_key(key)) is None
    assert await intruder.fetchval("SELECT rewards.disable_person_v2($1, 1)", hash_key(api.keys["admin"])) is True
    await intruder.close()
