"""From an act and its customer to an order for the ledger: the event's key, the points, the caps.

An act of grade A or B also proves that a person acted. It pays what waits on the same message and what is reported later, so
the result does not depend on the order of reports. Acts that no rule pays for are proof too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec

from ledger import CapUse, Corroboration, Grade, GrantOrder, GrantTerms, event_key, offer_key, proof_key
from service.brands.brand import Brand
from service.campaigns.rules import Cap, Rule, store_group
from service.customers.queries import Customer
from service.grants.acts import Act
from service.grants.windows import last_day
from service.offers.keys import keys_before

_NO_RULE = -1


def order_of(act: Act, brand: Brand, known: Customer) -> GrantOrder:
    """An order for what the rule pays; without a rule, only for recording the proof that a person acted."""
    if act.rule is None:
        return _proof(act, brand, known)
    rule = act.campaign.rules[act.rule]
    terms = _terms(act, brand, rule, act.rule)
    if act.points is not None:
        terms = msgspec.structs.replace(terms, points=act.points)
    key, *former_keys = event_keys(act, known)
    return GrantOrder(
        terms=terms,
        key=key,
        customer=known.customer,
        message_id=act.message_id,
        window_at=act.window_at,
        occurred_at=act.occurred_at,
        qualifier=act.qualifier,
        metadata=act.metadata,
        due_at=due_at(rule, act.received_at),
        former_keys=tuple(former_keys),
        past_keys=past_event_keys(act, known) if known.past else (),
        generation=known.generation,
        corroboration=_corroboration(act, known, rule, waits=terms.waits),
    )


def _terms(act: Act, brand: Brand, rule: Rule, rule_number: int) -> GrantTerms:
    """The terms of an act, which those of its kind and day share, as long as the campaign is remembered."""
    campaign = act.campaign
    day = brand.calendar.day(act.window_at)
    kind = (rule_number, day, act.action, act.channel, act.grade, act.source, act.principal, act.store)
    terms = campaign.terms.get(kind)
    if terms is None:
        terms = campaign.terms[kind] = GrantTerms(
            book=brand.book,
            campaign_no=campaign.campaign_no,
            points=rule.points,
            grade=act.grade,
            action=act.action,
            channel=act.channel,
            source=act.source,
            principal=act.principal,
            campaign_version=campaign.version,
            rule=rule_number,
            expires_on=last_day(day, campaign.expires_after_months),
            account_class=campaign.account_class,
            caps=cap_uses(act, campaign.caps, day),
            waits=not rule.pays_at_once(act.grade),
            held_back=rule.hold_back_days is not None,
        )
    return terms


def event_keys(act: Act, known: Customer) -> tuple[bytes, ...]:
    """The act's key under each of the customer's numbers; it may be recorded under any of them."""
    keys = _keys(act, known, act.action, act.qualifier)
    if act.offer is None:
        return keys
    before = keys_before(act.campaign, act.offer, _numbers(known), (act.message_id, act.action, act.qualifier))
    return (*keys, *before)


def past_event_keys(act: Act, known: Customer) -> tuple[tuple[int, bytes], ...]:
    """The act's key under each number split off since: a decision from before the split was for this customer too."""
    return _past_keys(act, known, act.action, act.qualifier)


def due_at(rule: Rule, decided_at: datetime) -> datetime | None:
    """Until when held-back points can be approved."""
    return None if rule.hold_back_days is None else decided_at + timedelta(days=rule.hold_back_days)


def cap_uses(act: Act, limits: Sequence[Cap], day: date) -> tuple[CapUse, ...]:
    """What a grant of ``day`` counts against: the campaign's caps, of which each has its limits from ``limits``."""
    campaign = act.campaign
    return tuple(
        CapUse(
            number,
            cap.period(day),
            limit.max_grants,
            limit.points_for(act.store),
            shared=cap.per != "customer",
            group=0 if cap.per != "store" or act.store is None else store_group(act.store),
        )
        for number, cap, limit in zip(campaign.cap_numbers, campaign.caps, limits, strict=True)
        if cap.covers(act.action, act.channel)
    )


def _proof(act: Act, brand: Brand, known: Customer) -> GrantOrder:
    proof_keys = _proof_keys(act, known)
    proved = _proved(act)
    return GrantOrder(
        terms=GrantTerms(
            book=brand.book,
            campaign_no=act.campaign.campaign_no,
            points=0,
            grade=act.grade,
            action=act.action,
            channel=act.channel,
            source=act.source,
            principal=act.principal,
            campaign_version=act.campaign.version,
            rule=_NO_RULE,
        ),
        key=proof_keys[0],
        customer=known.customer,
        message_id=act.message_id,
        window_at=act.window_at,
        occurred_at=act.occurred_at,
        qualifier=act.qualifier,
        metadata=act.metadata,
        generation=known.generation,
        corroboration=Corroboration(proof_keys, _waiting_keys(act, known, proved), _past_waiting_keys(act, known, proved)),
    )


def _corroboration(act: Act, known: Customer, rule: Rule, *, waits: bool) -> Corroboration | None:
    proved = [] if act.offer is not None else act.proved_actions()
    if waits and rule.proof_needed is None:
        # Not even its own proof pays it, so none is left.
        return None
    if not waits and not proved:
        return None
    return Corroboration(
        _proof_keys(act, known),
        _waiting_keys(act, known, proved),
        _past_waiting_keys(act, known, proved),
        rule.proof_needed or Grade.B,
    )


def _proved(act: Act) -> list[str]:
    """The actions that an act without a rule is proof for: of an offer, whatever claims it has one key."""
    proved = act.proved_actions()
    return proved if act.offer is None else proved[:1]


def _numbers(known: Customer) -> tuple[int, ...]:
    return known.customer, *known.former


def _keys(act: Act, known: Customer, action: str, qualifier: str) -> tuple[bytes, ...]:
    """The event's key under each of the customer's numbers, the survivor first."""
    return tuple([_key(act, customer, action, qualifier) for customer in (known.customer, *known.former)])


def _key(act: Act, customer: int, action: str, qualifier: str) -> bytes:
    if act.offer is not None:
        return offer_key(campaign_no=act.campaign.campaign_no, offer_group=act.offer.group, customer=customer)
    return event_key(
        campaign_no=act.campaign.campaign_no,
        message_id=act.message_id,
        customer=customer,
        action=action,
        qualifier=qualifier,
    )


def _waiting_keys(act: Act, known: Customer, actions: Sequence[str]) -> tuple[tuple[bytes, ...], ...]:
    return tuple(_keys(act, known, action, "") for action in actions)


def _past_keys(act: Act, known: Customer, action: str, qualifier: str) -> tuple[tuple[int, bytes], ...]:
    return tuple((number, _key(act, number, action, qualifier)) for number in known.past)


def _past_waiting_keys(act: Act, known: Customer, actions: Sequence[str]) -> tuple[tuple[tuple[int, bytes], ...], ...]:
    return tuple(_past_keys(act, known, action, "") for action in actions) if known.past else ()


def _proof_keys(act: Act, known: Customer) -> tuple[bytes, ...]:
    campaign_no = act.campaign.campaign_no
    if act.offer is not None:
        return tuple(
            offer_key(campaign_no=campaign_no, offer_group=act.offer.group, customer=customer, action="")
            for customer in (known.customer, *known.former)
        )
    return tuple(
        proof_key(campaign_no=campaign_no, message_id=act.message_id, customer=customer)
        for customer in (known.customer, *known.former)
    )
