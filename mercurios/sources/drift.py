"""Drift: how the fields of a batch differ from its contract and from the batch before.

    observed = Observed()
    for page in pages: observed.add(convert(SALE, page.records))
    observed.drifts(SALE, before=fields_of_the_batch_before)

What becomes of such a field is the contract's choice; here it is only told.
"""

from collections import Counter
from dataclasses import dataclass

from mercurios.sources.contracts import Contract, Field, OnDrift, similar
from mercurios.sources.conversion import VARIANT, Converted
from mercurios.sources.unnamed import WITHHELD_KIND, is_withheld, note

MOST_UNKNOWN = 200
"""Unknown fields of a batch that are told one by one; a field named after every record would never end."""
MORE = "…"
"""Field of the drift that stands for all the others."""


@dataclass(frozen=True)
class Drift:
    """One field that differs from what was expected, or `*` for the entity as a whole.

    change: new, vanished or retyped; of the whole filter_ignored (the source sent what was not asked for) or
    deletions_withheld (more is missing than came). severity: info, warning or error. detail: a sentence without values.
    """

    entity: str
    field: str
    change: str
    severity: str
    detail: str


class Observed:
    """The fields of one batch, gathered page by page."""

    def __init__(self) -> None:
        self._rows = 0
        self._present: set[str] = set()
        self._unknown: dict[str, str] = {}
        self._has_more = False
        self._broken: Counter[str] = Counter()

    def add(self, converted: Converted) -> None:
        """Take a page into account."""
        self._rows += converted.rows
        self._present |= converted.present
        for name, kind in converted.unknown.items():
            if name in self._unknown or len(self._unknown) < MOST_UNKNOWN:
                note(self._unknown, name, kind)
            else:
                self._has_more = True
        # A page without the field at all says that it vanished, not that it changed.
        self._broken.update({name: n for name, n in converted.breaches.items() if name in converted.present})

    @property
    def fields(self) -> frozenset[str]:
        """Fields of the contract that some record carried."""
        return frozenset(self._present)

    def drifts(self, contract: Contract, before: frozenset[str] | None) -> tuple[Drift, ...]:
        """What differs, by kind of change and field. before: `fields` of the batch before, None for the first batch."""
        new = [_new(contract, name, kind) for name, kind in sorted(self._unknown.items())]
        if self._has_more:
            new.append(_new(contract, MORE, WITHHELD_KIND if contract.is_personal else MORE))
        gone = (before or frozenset()) - self._present if self._rows else frozenset()
        vanished = [_vanished(contract, field) for field in contract.kept if field.name in gone]
        retyped = [self._retyped(contract, field) for field in contract.kept if self._is_retyped(field)]
        return (*new, *vanished, *retyped)

    def _is_retyped(self, field: Field) -> bool:
        broken = self._broken[field.name]
        return broken > 0 and 2 * broken >= self._rows

    def _retyped(self, contract: Contract, field: Field) -> Drift:
        share = f"{self._broken[field.name]:,} of {self._rows:,} records"
        detail = f"{field.name} is not what the contract says ({field.kind.value}) in {share}"
        return Drift(contract.entity, field.name, "retyped", "error", detail)


def _vanished(contract: Contract, field: Field) -> Drift:
    detail = f"no record carries {field.name} any more, which the batch before had"
    return Drift(contract.entity, field.name, "vanished", "warning" if field.is_nullable else "error", detail)


def _new(contract: Contract, name: str, kind: str) -> Drift:
    severity, consequence = _consequence(contract, is_withheld(kind))
    told = f"{name} ({kind.removeprefix(WITHHELD_KIND)}) is no field"
    subject = f"more than {MOST_UNKNOWN} fields are none" if name == MORE else told
    could = " or ".join(similar(contract, name))
    meant = f", could it be {could}?" if could else ""
    detail = f"{subject} of the {contract.entity} contract{meant}; {consequence}"
    return Drift(contract.entity, name, "new", severity, detail)


def _consequence(contract: Contract, withheld: bool) -> tuple[str, str]:
    """How much a field that no contract names matters, and what becomes of it."""
    if contract.on_drift is OnDrift.STOP:
        return "error", "the contract wants nothing loaded then"
    if contract.on_drift is OnDrift.QUARANTINE:
        return "warning", "records with it are quarantined"
    if withheld:
        return "warning", "it may be personal, so values are withheld"
    return "info", f"its values are kept in {VARIANT}"
