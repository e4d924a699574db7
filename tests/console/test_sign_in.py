"""Signing in to the console: enrolling, passwords and one-time codes, sessions, and whose form it is."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from service.auth.roles import Role
from service.console.sign_in import sessions
from service.console.sign_in.limits import LOGIN_MISSES_MAX
from service.console.sign_in.routes import inside
from service.persons.actions import invite_again
from service.settings import Settings
from tests.api_fixtures import Api
from tests.console.visitors import HERE, Owner, Visitor, code_of, enrolling, stranger, visitor_as
from tests.people import invited

LATER = 1
"""A step later: the code of this one was used."""


async def acts(owner: Owner) -> list[str]:
    return [row["act"] for row in await owner.fetch("SELECT act FROM rewards.audit_trail ORDER BY entry_no")]


async def test_an_invitation_makes_a_login_and_signs_in(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    page = await ada.get("/console")
    assert page.status_code == 200
    assert "Ada" in page.text
    assert "finance" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert (await acts(owner))[-3:] == ["person.invite", "person.enrol", "person.sign_in"]


async def test_an_invitation_is_good_once(api: Api, owner: Owner) -> None:
    invitation = (await invited(owner)).text
    await enrolling(api, invitation, "ada")
    again = await stranger(api).browser.post("/console/enrol", data={"invitation": invitation}, headers=HERE)
    assert again.status_code == 422
    assert "was used" in again.text


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"password": "short"}, "at least 12 characters"),
        ({"password": "x" * 513}, "at most 512 bytes"),
        ({"password": "ada and some more"}, "too easy to guess"),
        ({"code": "000000x"}, "one-time code is not"),
        ({"login": " "}, "Choose a login"),
    ],
)
async def test_what_is_chosen_badly_is_said_and_nothing_done(
    api: Api, owner: Owner, changed: dict[str, str], says: str
) -> None:
    invitation = (await invited(owner)).text
    visitor, answer = await enrolling(api, invitation, **{"login": "ada"} | changed)
    assert answer.status_code == 422
    assert says in answer.text
    assert not await visitor.is_signed_in()
    assert await owner.fetchval("SELECT count(*) FROM rewards.console_login") == 0
    _, answer = await enrolling(api, invitation, "ada")
    assert answer.status_code == 303


async def test_a_login_is_one_persons(api: Api, owner: Owner) -> None:
    await visitor_as(api, owner, Role.FINANCE, login="ada")
    invitation = (await invited(owner, Role.CARE, name="Carlo")).text
    _, answer = await enrolling(api, invitation, "ADA")
    assert "Somebody else of your brand has this login" in answer.text
    _, answer = await enrolling(api, invitation, "carlo")
    assert answer.status_code == 303


async def test_password_and_code_sign_in(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    other = Visitor(stranger(api).browser, ada.login, ada.secret)
    assert (await other.sign_in(code=code_of(ada.secret, steps=LATER), login="ADA@lumen.example")).status_code == 303
    assert await other.is_signed_in()
    assert await ada.is_signed_in()


@pytest.mark.parametrize(
    "changed", [{"password": "another song"}, {"login": "bob"}, {"brand": "nobody"}, {"login": "a\0b"}, {"login": "x" * 300}]
)
async def test_what_does_not_fit_is_refused_in_the_same_words(api: Api, owner: Owner, changed: dict[str, str]) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    other = Visitor(stranger(api).browser, ada.login, ada.secret)
    refused = await other.sign_in(code=code_of(ada.secret, steps=LATER), **changed)
    assert refused.status_code == 422
    assert "That did not fit together" in refused.text
    assert "set-cookie" not in refused.headers
    assert "another song" not in refused.text


async def test_a_code_is_good_once_and_for_a_minute(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    other = Visitor(stranger(api).browser, ada.login, ada.secret)
    assert (await other.sign_in()).status_code == 422  # it has enrolled them
    assert (await other.sign_in(code=code_of(ada.secret, steps=2))).status_code == 422
    later = code_of(ada.secret, steps=LATER)
    assert (await other.sign_in(code=later)).status_code == 303
    assert (await other.sign_in(code=later)).status_code == 422


@pytest.mark.one_process("failures are counted in each process")
async def test_nobody_guesses_for_long(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    other = Visitor(stranger(api).browser, ada.login, ada.secret)
    for _ in range(LOGIN_MISSES_MAX):
        assert "did not fit" in (await other.sign_in(password="guess")).text
    right = await other.sign_in(code=code_of(ada.secret, steps=LATER))
    assert "Too many attempts" in right.text
    # Of another login this says nothing.
    assert "did not fit" in (await other.sign_in(login="bob")).text


async def test_a_session_ends_when_its_person_signs_out(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    cookie = dict(ada.browser.cookies)
    assert (await ada.send("/console/sign-out", {})).status_code == 303
    assert not await ada.is_signed_in()
    ada.browser.cookies.update(cookie)
    assert not await ada.is_signed_in()
    assert (await acts(owner))[-1] == "person.sign_out"


async def test_signing_out_everywhere_ends_every_session(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    phone = Visitor(stranger(api).browser, ada.login, ada.secret)
    assert (await phone.sign_in(code=code_of(ada.secret, steps=LATER))).status_code == 303
    bob = await visitor_as(api, owner, Role.CARE, name="Bob", login="bob")
    await phone.send("/console/sign-out", {"everywhere": "yes"})
    assert [await each.is_signed_in() for each in (ada, phone, bob)] == [False, False, True]


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_session_ends_when_its_person_is_disabled(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    await owner.execute("SELECT rewards.disable_person_v1(brand_id, person_id, NULL) FROM rewards.person")
    assert not await ada.is_signed_in()
    assert "did not fit" in (await ada.sign_in(code=code_of(ada.secret, steps=LATER))).text


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        (f"last_seen_at = last_seen_at - interval '{sessions.IDLE_S - 60} seconds'", True),
        (f"last_seen_at = last_seen_at - interval '{sessions.IDLE_S} seconds'", False),
        (f"expires_at = expires_at - interval '{sessions.LIFE_S - 60} seconds'", True),
        (f"expires_at = expires_at - interval '{sessions.LIFE_S} seconds'", False),
    ],
)
async def test_a_session_ends_by_itself(api: Api, owner: Owner, change: str, stays: bool) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    await owner.execute(f"UPDATE rewards.console_session SET {change}")
    assert await ada.is_signed_in() is stays
    if stays and "last_seen" in change:
        seen = await owner.fetchval("SELECT clock_timestamp() - last_seen_at FROM rewards.console_session")
        assert seen < timedelta(seconds=30)


async def test_a_person_who_enrols_again_is_signed_out_elsewhere(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    person_id = await owner.fetchval("SELECT person_id FROM rewards.person")
    again, answer = await enrolling(api, (await invite_again(owner, "lumen", person_id)).text, ada.login)
    assert answer.status_code == 303, answer.text
    assert [await ada.is_signed_in(), await again.is_signed_in()] == [False, True]


async def test_nothing_secret_is_in_the_tables(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    rows = await owner.fetch("SELECT to_jsonb(l)::text FROM rewards.console_login AS l")
    rows += await owner.fetch("SELECT to_jsonb(s)::text FROM rewards.console_session AS s")
    text = " ".join(row[0] for row in rows)
    assert "argon2id" in text
    for secret in (ada.secret, *ada.browser.cookies.values(), "four words"):
        assert secret not in text


# ---- Whose form it is


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://sub.rewards.test"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/console/sign-out", "/console/sign-in", "/console/enrol", "/console/demo"])
async def test_another_sites_form_is_refused(api: Api, owner: Owner, headers: dict[str, str], path: str) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    refused = await ada.send(path, {"invitation": "x"}, **headers)
    assert refused.status_code == 403
    assert "not from your page" in refused.text
    assert await ada.is_signed_in()


@pytest.mark.parametrize("token", ["", "x", "é"])
async def test_a_form_without_the_sessions_token_is_refused(api: Api, owner: Owner, token: str) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    assert (await ada.send("/console/sign-out", {"csrf": token})).status_code == 403
    assert await ada.is_signed_in()


async def test_a_token_is_good_in_its_own_session_alone(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    bob = await visitor_as(api, owner, Role.CARE, name="Bob", login="bob")
    theirs = (await ada.get("/console")).text.partition('name="csrf" value="')[2].partition('"')[0]
    assert (await bob.send("/console/sign-out", {"csrf": theirs})).status_code == 403


# ---- Cookies and addresses


async def test_the_cookie_is_read_by_no_script_and_sent_by_no_other_site(api: Api, owner: Owner) -> None:
    _, answer = await enrolling(api, (await invited(owner)).text, "ada")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("console=")
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax")


async def test_over_tls_the_cookie_is_the_hosts_alone(api: Api, owner: Owner) -> None:
    await visitor_as(api, owner, Role.FINANCE)
    tls = msgspec.structs.replace(api.settings, base_url="https://rewards.test", demo=False)
    services = msgspec.structs.replace(api.services, settings=tls)
    person_id = await owner.fetchval("SELECT person_id FROM rewards.person")
    cookie = await sessions.begin(services, person_id, method="password")
    assert cookie is not None
    assert cookie.startswith("__Host-console=")
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure")
    name, _, value = cookie.partition(";")[0].partition("=")
    assert await sessions.find(services, {name: value}) is not None
    # What another host could have set is not looked at.
    assert await sessions.find(services, {"console": value}) is None


@pytest.mark.parametrize(
    ("base_url", "demo", "offered"),
    [
        ("https://rewards.example", False, True),
        ("http://127.0.0.1:8080", False, True),
        ("http://rewards.example", False, False),
        ("http://192.168.1.7:8080", True, True),
    ],
)
def test_a_password_never_crosses_a_network_in_the_clear(base_url: str, demo: bool, offered: bool) -> None:
    assert sessions.is_offered(Settings(base_url=base_url, demo=demo)) is offered


@pytest.mark.parametrize("path", ["//elsewhere.example", "https://elsewhere.example", "/consolex", "/console\\@x", "", "/"])
def test_signing_in_leads_to_no_other_site(path: str) -> None:
    assert inside(path) == "/console"


async def test_signing_in_leads_on_to_what_was_asked_for(api: Api, owner: Owner) -> None:
    ada = await visitor_as(api, owner, Role.FINANCE)
    other = Visitor(stranger(api).browser, ada.login, ada.secret)
    asked = await other.get("/console/nothing?x=1")
    assert asked.status_code == 404
    answer = await other.sign_in(code=code_of(ada.secret, steps=LATER), next="/console/campaigns?after=7")
    assert answer.headers["location"] == "/console/campaigns?after=7"


async def test_a_key_signs_nobody_in_and_a_cookie_is_no_key(api: Api, owner: Owner) -> None:
    assert (await api.client("admin").get("/console")).status_code == 303
    ada = await visitor_as(api, owner, Role.FINANCE)
    (token,) = ada.browser.cookies.values()
    assert (await api.client(key=token).get("/v1/meta")).status_code == 401
    assert (await ada.get("/v1/meta")).status_code == 401
