"""What the application works with: one frozen struct, passed where it is needed. Nothing is looked up by a string.

``open_services`` makes it from settings and secrets alone, so it opens while the database is away; ``open_for_agents`` makes it
for the worker. Modules below this one name
the type only, under ``TYPE_CHECKING``: what they need of it is given to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Balance, Book, Entry, Event, EventName, Ledger
from service.admission.failed_attempts import FailedAttemptLimiter
from service.admission.in_flight import InFlight
from service.approvals import changing_limits
from service.approvals.kinds import AnyKind
from service.auth.key_use import KeyUse
from service.auth.queries import Principals
from service.auth.quotas import Quotas
from service.brand_settings import approvals as brand_approvals
from service.brands.book_clocks import BookClocks
from service.brands.queries import BrandDirectory
from service.campaigns import approvals as campaign_approvals
from service.campaigns.decisions_in_flight import DecisionsInFlight
from service.campaigns.queries import CampaignDirectory
from service.code_batches.queries import BatchCode, batch_codes_by_hash
from service.concurrency.batch_loader import BatchLoader
from service.concurrency.fairness import WeightedSemaphore
from service.concurrency.shared_timeout import SharedTimeout
from service.console.sign_in.limits import SignInLimits
from service.console.sign_in.provider import IdentityProviders, asking
from service.corrections.actions import CLAW_BACK
from service.corrections.adjustments import ADJUST
from service.corrections.jobs.actions import CORRECT
from service.corrections.returns import RETURN
from service.crypto.derived_keys import derived_keys
from service.customers.directory import CustomerDirectory
from service.egress import fetching
from service.egress.resolving import Resolver
from service.erasure import actions as erasure_actions
from service.evidence.click_log import ClickLog, agent_key
from service.http.pagination import LIMIT_DEFAULT
from service.ingest.certificates import Certificates
from service.ingest.envelopes import DataKeys, EnvelopeStore
from service.ingest.intake import Intake
from service.ingest.replays.correcting import CORRECT_REPLAY
from service.ingest.source_watch import watched
from service.ingest.sources import SourceDirectory
from service.ingest.spooled_envelopes import SpooledEnvelopes
from service.link_pages.deferred_claims import DeferredClaims
from service.link_pages.deferred_settling import settlement
from service.links.hosts import LinkHosts, link_hosts
from service.links.last_known import LastKnown
from service.links.last_known_refresher import open_last_known
from service.links.queries import LinkRow, link_ids_by_code, links_by_id
from service.observability import metrics
from service.reports.customers.rfm import Scales
from service.restatements.actions import RESTATE
from service.server.health import DatabaseWatch
from service.settings import Secrets, Settings
from service.storage import database, disk_space
from service.storage.spool import Spool
from service.storage.spool_files import ENVELOPES
from service.storage.spool_files import names as spool_files
from service.storage.spool_seals import NOTE as SEALS_NOTE
from service.storage.spool_seals import Seals, open_seals
from service.storage.spool_watch.reports import SpoolReports
from service.tokens.keys import TokenKeys, token_keys

POOL_SIZE = 10
ENGINE_SIZE = 4
REPORTS_AT_ONCE = 2
STATEMENTS_AT_ONCE = 16
"""How many statements are read together, of at most a hundred lines each: decoding them blocks the event loop."""
BATCH_ITEMS_IN_FLIGHT = 4_000
"""How many batch items are unpacked at once: enough to keep the ledger busy; it bounds memory."""
CLOSE_TIMEOUT_S = 10
"""Longer than the longest statement; what is still open then is never coming back."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What an application works with from its start to its end."""

    settings: Settings
    secrets: Secrets
    describe: Callable[[], dict[str, Any]]
    """Makes the API's description."""
    in_flight: InFlight
    pool: asyncpg.Pool[Any]
    engine: AsyncEngine
    database_watch: DatabaseWatch
    ledger: Ledger
    events: BatchLoader[EventName, Event]
    balances: BatchLoader[tuple[Book, int], Balance]
    statements: BatchLoader[tuple[Book, int], list[Entry]]
    """The newest lines of customers' statements."""
    clocks: BookClocks
    principals: Principals
    quotas: Quotas
    key_use: KeyUse
    brands: BrandDirectory
    campaigns: CampaignDirectory
    decisions_in_flight: DecisionsInFlight
    customers: CustomerDirectory
    resolver: Resolver
    batch_items: WeightedSemaphore
    click_log: ClickLog
    token_keys: TokenKeys
    last_known: LastKnown
    link_hosts: LinkHosts
    links: BatchLoader[bytes, LinkRow]
    """By their ids."""
    link_ids: BatchLoader[bytes, bytes]
    """By the hashes of links' codes."""
    batch_codes: BatchLoader[bytes, BatchCode]
    """By their hashes."""
    code_guesses: FailedAttemptLimiter
    """Codes that are none, by network."""
    invitation_guesses: FailedAttemptLimiter
    """Invitations that are none, by network."""
    receipt_guesses: FailedAttemptLimiter = msgspec.field(default_factory=FailedAttemptLimiter)
    """App receipts that no device has signed, by network."""
    sign_in_limits: SignInLimits
    """Of people who sign in to the console."""
    identity_providers: IdentityProviders
    """At which brands' people sign in."""
    shared_code_claims: FailedAttemptLimiter
    """Claims of codes that pay each person, by network."""
    reports: asyncio.Semaphore
    """Reports read for seconds; the others' connections stay for requests that post."""
    rfm_scales: Scales
    """Of reports by customer."""
    page_timeout: SharedTimeout
    """Of people who wait for a page."""
    deferred_claims: DeferredClaims
    spool_reports: SpoolReports
    sources: SourceDirectory
    reply_text_keys: tuple[bytes, ...]
    """What replies say is hashed with the first, and found by any."""
    replayed_act_key: bytes
    """What dry runs of replays name acts by."""
    intake: Intake
    """Of what messaging providers send."""
    approval_kinds: Mapping[str, AnyKind]
    """What can wait for another person's approval."""


APPROVAL_KINDS: Mapping[str, AnyKind] = {
    kind.name: kind
    for kind in (
        campaign_approvals.FUND,
        campaign_approvals.CREATE,
        brand_approvals.POINT_VALUE,
        brand_approvals.ISSUE_LIMIT,
        CLAW_BACK,
        ADJUST,
        CORRECT,
        RETURN,
        CORRECT_REPLAY,
        RESTATE,
        changing_limits.CHANGE,
        erasure_actions.ERASE,
    )
}


@contextlib.asynccontextmanager
async def open_services(
    settings: Settings, secrets: Secrets, in_flight: InFlight, describe: Callable[[], dict[str, Any]]
) -> AsyncGenerator[Services]:
    """Open all connections and start what runs beside the requests; close and stop it in the opposite order."""
    async with contextlib.AsyncExitStack() as opened:
        engine = await _engine(opened, settings)
        last_known = await opened.enter_async_context(open_last_known(settings, secrets, engine))
        services = await _make(opened, settings, secrets, in_flight, describe, engine, last_known)
        disk_space.measure(settings.directories)
        await services.database_watch.start()
        opened.push_async_callback(services.database_watch.stop)
        for queue in services.ledger.waiting:
            metrics.waiting.labels(queue).set_function(functools.partial(_waiting, services.ledger, queue))
        await opened.enter_async_context(services.key_use)
        await opened.enter_async_context(services.click_log)
        await opened.enter_async_context(_settling(services))
        yield services


@contextlib.asynccontextmanager
async def open_for_agents(settings: Settings, secrets: Secrets) -> AsyncGenerator[Services]:
    """The same for the worker: it serves nobody, so nothing runs beside its agents."""
    async with contextlib.AsyncExitStack() as opened:
        engine = await _engine(opened, settings)
        last_known = LastKnown(own_hosts=settings.own_hosts)
        yield await _make(opened, settings, secrets, InFlight(), dict[str, Any], engine, last_known)


async def _engine(opened: contextlib.AsyncExitStack, settings: Settings) -> AsyncEngine:
    engine = database.create_engine(settings.database_url, database.APPLICATION_ROLE, size=ENGINE_SIZE)
    opened.push_async_callback(engine.dispose)
    return engine


async def _make(
    opened: contextlib.AsyncExitStack,
    settings: Settings,
    secrets: Secrets,
    in_flight: InFlight,
    describe: Callable[[], dict[str, Any]],
    engine: AsyncEngine,
    last_known: LastKnown,
) -> Services:
    """All of it, with nothing started."""
    pool = await database.create_pool(settings.database_url, database.APPLICATION_ROLE, size=POOL_SIZE)
    opened.push_async_callback(_close, pool)
    kept = database.KeptConnection(settings.database_url, database.APPLICATION_ROLE)
    opened.push_async_callback(kept.close)
    ledger = await opened.enter_async_context(Ledger(pool))
    return Services(
        settings=settings,
        secrets=secrets,
        describe=describe,
        in_flight=in_flight,
        pool=pool,
        engine=engine,
        database_watch=DatabaseWatch(pool, settings.directories),
        ledger=ledger,
        events=BatchLoader(ledger.events),
        balances=BatchLoader(ledger.balances),
        statements=BatchLoader(functools.partial(ledger.statements, limit=LIMIT_DEFAULT + 1), batch_max=STATEMENTS_AT_ONCE),
        clocks=BookClocks(ledger),
        principals=Principals(engine),
        quotas=Quotas(pool),
        key_use=KeyUse(pool),
        brands=BrandDirectory(engine),
        campaigns=CampaignDirectory(engine),
        decisions_in_flight=DecisionsInFlight(),
        customers=CustomerDirectory(pool, secrets.identity_keys, kept=kept, tombstone_keys=secrets.tombstone_keys),
        resolver=Resolver(settings.dns_resolver),
        batch_items=WeightedSemaphore(BATCH_ITEMS_IN_FLIGHT),
        click_log=ClickLog(pool, agent_key(secrets.link_keys)),
        token_keys=token_keys(secrets.link_keys),
        last_known=last_known,
        link_hosts=link_hosts(settings.base_url, last_known),
        links=BatchLoader(functools.partial(links_by_id, pool)),
        link_ids=BatchLoader(functools.partial(link_ids_by_code, pool)),
        batch_codes=BatchLoader(functools.partial(batch_codes_by_hash, pool)),
        code_guesses=FailedAttemptLimiter(),
        invitation_guesses=FailedAttemptLimiter(),
        sign_in_limits=SignInLimits(),
        identity_providers=IdentityProviders(asking(Resolver(settings.dns_resolver))),
        shared_code_claims=FailedAttemptLimiter(),
        reports=asyncio.Semaphore(REPORTS_AT_ONCE),
        rfm_scales=Scales(),
        page_timeout=SharedTimeout(),
        deferred_claims=DeferredClaims(_spool(settings, secrets)),
        spool_reports=SpoolReports(pool, settings.spool_path),
        sources=SourceDirectory(engine, derived_keys(secrets.link_keys, "source secrets 1")),
        reply_text_keys=derived_keys(secrets.link_keys, "reply texts 1"),
        replayed_act_key=derived_keys(secrets.link_keys, "replayed acts 1")[0],
        intake=_intake(settings, secrets, pool),
        approval_kinds=APPROVAL_KINDS,
    )


@contextlib.asynccontextmanager
async def _settling(services: Services) -> AsyncGenerator[None]:
    """Settle what waited for the database, and say how much waits."""
    async with (
        services.spool_reports.made_now_and_then(),
        watched(services),
        services.deferred_claims.settled_by(settlement(services)),
        services.intake.spooled.stored_by(services.intake.store),
    ):
        yield


def _spool(settings: Settings, secrets: Secrets) -> Spool:
    seals = open_seals(
        derived_keys(secrets.link_keys, "spool record 1"),
        spool_files(settings.spool_path),
        Path(settings.data_dir) / SEALS_NOTE,
    )
    return Spool(settings.spool_path, bytes_max=settings.spool_bytes, seals=seals)


def _intake(settings: Settings, secrets: Secrets, pool: asyncpg.Pool[Any]) -> Intake:
    store = EnvelopeStore(pool, DataKeys(pool, derived_keys(secrets.link_keys, "envelope keys 1")))
    keys = derived_keys(secrets.link_keys, "spooled envelopes 1")
    spool = Spool(settings.spool_path / ENVELOPES, bytes_max=settings.spool_bytes, seals=Seals(keys))
    spooled = SpooledEnvelopes(spool, derived_keys(secrets.link_keys, "spooled envelopes, sealed 1"))
    return Intake(store, spooled, Certificates(functools.partial(fetching.get, Resolver(settings.dns_resolver))))


async def _close(pool: asyncpg.Pool[Any]) -> None:
    try:
        await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_S)
    except TimeoutError:
        pool.terminate()


def _waiting(ledger: Ledger, queue: str) -> int:
    return ledger.waiting[queue]
