"""Deciding which names are one customer, given what is stored: ``decide`` decides each change, in order.

A change is done whole or refused whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from service.customers.identities import Identity, IdentityKind, OurNumber
from service.customers.queries import Customer
from service.http.problems import FieldError, Problem, not_found

IDS_MAX = 8
"""How many numbers one customer may have: each of their events is looked up under every number."""
NUMBERS_MAX = 32
"""The same, together with numbers split off since: events are looked up under these as well, for ever."""

FIELDS = {IdentityKind.ID: "id", IdentityKind.EMAIL: "email", IdentityKind.PHONE: "phone", IdentityKind.DEVICE: "device"}
"""The field of a request that has a name of each kind."""


class Attach(msgspec.Struct, frozen=True):
    """The brand gives its own id, ``names[0]``, to the customer with the other names, unless they have one already.

    A device leads only to a customer without other names, because people share devices.
    """

    names: Sequence[Identity]


class Merge(msgspec.Struct, frozen=True):
    """Merge the customer called ``name`` into ``survivor``, even if both have an id of the brand's own."""

    survivor: Identity | OurNumber
    name: Identity | OurNumber


class Split(msgspec.Struct, frozen=True):
    """Split the customer called ``name`` off from ``whole``, into which it was merged."""

    whole: Identity | OurNumber
    name: Identity | OurNumber


class SplitResult(msgspec.Struct, frozen=True):
    """The number split off, and the customer it was part of. ``again``: it had been split off before."""

    number: int
    survivor: int
    again: bool


class MergeResult(msgspec.Struct, frozen=True):
    """The customer a change was about, how many others were merged into it, and the numbers and names it got."""

    person: DraftCustomer
    merged: int = 0
    absorbed_numbers: tuple[int, ...] = ()
    attached: tuple[IdentityKind, ...] = ()


class DraftCustomer:
    """A customer while changes are decided: as stored, or new, with the changes so far."""

    def __init__(self, known: Customer | None) -> None:
        self.known = known
        self.number = None if known is None else known.customer
        self.confirmed = known is not None and known.confirmed
        self.verified = known is not None and known.verified
        self.into: DraftCustomer | None = None
        self.absorbed: list[DraftCustomer] = []
        self.generation = 0 if known is None else known.generation

    @property
    def now(self) -> DraftCustomer:
        """The survivor: itself, or the customer it is merged into."""
        return self if self.into is None else self.into.now

    @property
    def stored_number(self) -> int:
        """The number, which a new customer gets as the first thing that is written."""
        if self.number is None:
            raise AssertionError("a new customer is given a number before anything refers to it")
        return self.number

    @property
    def size(self) -> int:
        """How many numbers the customer has."""
        return (1 if self.known is None else 1 + len(self.known.former)) + sum(each.size for each in self.absorbed)

    def numbers(self) -> list[int]:
        """The own number first, then those of the merged customers."""
        own = [] if self.known is None else [self.known.customer, *self.known.former]
        return own + [number for each in self.absorbed for number in each.numbers()]

    def as_customer(self) -> Customer:
        """The customer once everything is written."""
        number = self.stored_number
        numbers = {*self.numbers()}
        former, past = sorted(numbers - {number}), sorted(self.past() - numbers)
        return Customer(number, self.confirmed, tuple(former), number, self.generation, tuple(past), self.verified)

    def past(self) -> set[int]:
        """The numbers that were once part of the same customer."""
        own = set[int]() if self.known is None else {*self.known.past}
        return own.union(*(each.past() for each in self.absorbed))

    def absorb(self, other: DraftCustomer) -> None:
        """Merge another into this one."""
        other.into = self
        self.absorbed.append(other)
        self.confirmed = self.confirmed or other.confirmed
        self.verified = self.verified or other.verified


class Decision:
    """What to write, and the result of each change."""

    def __init__(self, known: Mapping[bytes, Customer], device_only: Collection[int]) -> None:
        self.device_only = device_only
        people = {each.customer: DraftCustomer(each) for each in known.values()}
        self._owners = {mac: people[each.customer] for mac, each in known.items()}
        self.people: list[DraftCustomer] = list(people.values())
        self.attached: list[tuple[Identity, DraftCustomer]] = []
        self.answers: list[MergeResult | Problem] = []

    @property
    def changes_nothing(self) -> bool:
        """Whether every change holds already or is refused."""
        return not self.attached and not any(
            person.known is None or person.into is not None or person.confirmed != person.known.confirmed
            for person in self.people
        )

    def owner(self, identity: Identity | OurNumber) -> DraftCustomer | None:
        """The customer who has a name, by the decisions so far."""
        person = self._owners.get(identity.mac)
        return None if person is None else person.now

    def new(self) -> DraftCustomer:
        """A new customer."""
        person = DraftCustomer(None)
        self.people.append(person)
        return person

    def attach(self, identity: Identity, person: DraftCustomer) -> None:
        """Give the customer a name that nobody has."""
        self._owners[identity.mac] = person
        self.attached.append((identity, person))


def decide(known: Mapping[bytes, Customer], changes: Sequence[Attach | Merge], device_only: Collection[int] = ()) -> Decision:
    """Decide wishes in order; ``known`` says whose the names are that somebody has.

    ``device_only`` are those among the owners of devices who are known by devices alone.
    """
    decision = Decision(known, device_only)
    for change in changes:
        answer = _decide_attach(decision, change) if isinstance(change, Attach) else _decide_merge(decision, change)
        decision.answers.append(answer)
    return decision


def _decide_attach(decision: Decision, change: Attach) -> MergeResult | Problem:
    own_id, *others = change.names
    owners = {name.mac: decision.owner(name) for name in others}
    person = decision.owner(own_id)
    if person is None:
        # Prefer a customer who has earned under one of these names; a new one would have to be merged with them later.
        may_be = (owners[name.mac] for name in others if not _is_shared_device(decision, name, owners))
        person = next((owner for owner in may_be if owner is not None and not owner.confirmed), None)
    conflicts = [
        name
        for name in others
        if (owner := owners[name.mac]) is not None
        and owner is not person
        and (owner.confirmed or _is_shared_device(decision, name, owners))
    ]
    if conflicts:
        return _conflict(conflicts)
    joining = {id(owner): owner for owner in owners.values() if owner is not None and owner is not person}.values()
    if _exceeds_limits(person or DraftCustomer(None), *joining):
        return _limit_reached()
    person = decision.new() if person is None else person
    person.confirmed = True
    absorbed_numbers = tuple(number for other in joining for number in other.numbers())
    for other in joining:
        person.absorb(other)
    unknown = [name for name in change.names if decision.owner(name) is None]
    for name in unknown:
        decision.attach(name, person)
    return MergeResult(person, len(joining), absorbed_numbers, tuple(name.kind for name in unknown))


def _is_shared_device(decision: Decision, name: Identity, owners: Mapping[bytes, DraftCustomer | None]) -> bool:
    """Whether a name is a device of a customer with other names, none of which is given: the device may be shared."""
    owner = owners[name.mac]
    if name.kind is not IdentityKind.DEVICE or owner is None or owner.number in decision.device_only:
        return False
    return not any(other is owner for mac, other in owners.items() if mac != name.mac)


def _decide_merge(decision: Decision, change: Merge) -> MergeResult | Problem:
    person, other = decision.owner(change.survivor), decision.owner(change.name)
    if person is None and other is None:
        return not_found("customer")
    if person is None or other is None:
        # Only one of the names is taken: its customer gets the other as well.
        unknown, there = (change.survivor, other) if person is None else (change.name, person)
        assert there is not None
        if isinstance(unknown, OurNumber):
            return not_found("customer")
        there.confirmed = there.confirmed or unknown.kind is IdentityKind.ID
        decision.attach(unknown, there)
        return MergeResult(there, attached=(unknown.kind,))
    if person is other:
        return MergeResult(person)
    if _exceeds_limits(person, other):
        return _limit_reached()
    absorbed_numbers = tuple(other.numbers())
    person.absorb(other)
    return MergeResult(person, 1, absorbed_numbers)


def _exceeds_limits(*people: DraftCustomer) -> bool:
    """Whether they would be too many numbers for one customer."""
    numbers = {number for person in people for number in person.numbers()}
    past = {number for person in people for number in person.past()}
    return sum(person.size for person in people) > IDS_MAX or len(numbers | past) > NUMBERS_MAX


def _conflict(names: Sequence[Identity]) -> Problem:
    fields = [FIELDS[name.kind] for name in names]
    detail = "belongs to another customer; merge the two if they are the same person"
    return Problem(
        "identity_conflict",
        "; ".join(f"/{field}: {detail}" for field in fields),
        errors=[FieldError(f"/{field}", "identity_conflict", detail) for field in fields],
    )


def _limit_reached() -> Problem:
    return Problem("merge_limit_reached", f"This would merge more than {IDS_MAX} customers into one.")
