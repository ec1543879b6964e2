"""Onboarding: the steps by which a merchant comes in, and what came of them.

    onboarding = Onboarding("north")
    with onboarding.step("validate") as note:
        note("North GmbH, EUR")
    onboarding.report(findings(warehouse, "north", as_of)).text

A step that fails ends the onboarding and says what to do; what was loaded until then stays, and to onboard again goes
on from there.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from mercurios.errors import MercuriosError
from mercurios.jobs.ingest.ledgers import DRIFT
from mercurios.jobs.ingest.tables import ENTITY_TABLES
from mercurios.jobs.quarantine import quarantined
from mercurios.warehouse import Warehouse, utc

MOST_REASONS = 10
STEPS: Mapping[str, str] = MappingProxyType(
    {
        "validate": "correct the tenant file",
        "connect": "see that the source can be reached with these credentials",
        "prepare": "see that the warehouse and Prefect can be reached",
        "load": "see to the source; what other entities brought is loaded",
        "measure": "see to the warehouse",
        "transform": "see dbt's log under home; the rows are loaded and no release was made",
        "release": "see to the lake; the marts are built",
    }
)
"""What to do when a step fails, by step, in order."""


@dataclass(frozen=True)
class Step:
    """One step: `status` is done, failed or not reached."""

    name: str
    status: str
    detail: str = ""


@dataclass(frozen=True)
class Reason:
    """Why records of an entity are in quarantine; one record may have several."""

    entity: str
    reason: str
    records: int


@dataclass(frozen=True)
class Findings:
    """What the warehouse has of a tenant: rows and open quarantined records by entity, drift as sentences."""

    rows: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    drift: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnboardReport:
    """What came of onboarding one tenant.

    quality: score of the raw rows, a fraction; None, like release, where it did not get that far.
    """

    tenant_id: str
    steps: tuple[Step, ...]
    findings: Findings = Findings()
    quality: float | None = None
    release: str | None = None

    @property
    def text(self) -> str:
        """The report as Markdown."""
        found = self.findings
        quality = "" if self.quality is None else f", quality {self.quality:.2%}"
        lines = [f"# Onboarding {self.tenant_id}", "", f"Release {self.release or 'none'}{quality}", ""]
        lines += _table("step", "status", "detail", rows=[(step.name, step.status, step.detail) for step in self.steps])
        entities = dict.fromkeys((*found.rows, *found.quarantined))
        counts = [(name, found.rows.get(name, 0), found.quarantined.get(name, 0)) for name in entities]
        lines += _table("entity", "rows", "quarantined", rows=counts)
        lines += _table(
            "entity", "reason", "records", rows=[(each.entity, each.reason, each.records) for each in found.reasons]
        )
        lines += [f"- {sentence}" for sentence in found.drift]
        return "\n".join(lines).rstrip() + "\n"


class Onboarding:
    """The steps of one tenant so far."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._steps: dict[str, Step] = {}

    @property
    def has_loaded(self) -> bool:
        """Whether the load was at least begun."""
        return "load" in self._steps

    @property
    def has_failed(self) -> bool:
        """Whether a step has failed."""
        return any(step.status == "failed" for step in self._steps.values())

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Do one step; what is handed to the function it yields is its detail.

        An error is raised as it came, with a note of the step and what to do. Of one that is not ours only the type
        is told: its text may quote a record.
        """
        details: list[str] = []
        try:
            yield details.append
        except BaseException as error:
            told = str(error) if isinstance(error, MercuriosError) else type(error).__name__
            self._steps[name] = Step(name, "failed", told)
            error.add_note(
                f"onboarding {self._tenant_id} failed at {name}: {STEPS[name]}, then run `mercurios tenant onboard "
                f"{self._tenant_id}` again, which goes on from what is there"
            )
            raise
        self._steps[name] = Step(name, "done", "; ".join(details))

    def report(
        self, found: Findings = Findings(), *, quality: float | None = None, release: str | None = None
    ) -> OnboardReport:
        """What came of the steps so far."""
        steps = tuple(self._steps.get(name, Step(name, "not reached")) for name in STEPS)
        return OnboardReport(self._tenant_id, steps, found, quality, release)


def findings(warehouse: Warehouse, tenant_id: str, since: datetime) -> Findings:
    """Look at what the warehouse has of a tenant; drift noticed from `since` on, a moment with a time zone.

    Raises WarehouseError, also when the tables of ingest are not there.
    """
    rows = {entity: warehouse.count(table.name, tenant_id) for entity, table in ENTITY_TABLES.items()}
    held = quarantined(warehouse, tenant_id)
    reasons = Counter((each.entity, _kind(reason)) for each in held for reason in each.reasons)
    drift = warehouse.rows(DRIFT, tenant_id).to_pylist()
    begun = utc(since)
    return Findings(
        {entity: count for entity, count in rows.items() if count},
        Counter(each.entity for each in held),
        tuple(Reason(*what, count) for what, count in reasons.most_common(MOST_REASONS)),
        tuple(
            f"{each['entity']}.{each['field']} {each['change']} ({each['severity']}): {each['detail']}"
            for each in drift
            if each["noticed_at"] >= begun
        ),
    )


def _kind(reason: str) -> str:
    """A reason without the number that it tells, so that reasons of one kind count together."""
    return re.sub(r"got number .*", "got another number", reason)


def _table(*names: str, rows: Sequence[tuple[object, ...]]) -> list[str]:
    if not rows:
        return []
    cells = [[f"{cell:,}" if isinstance(cell, int) else _inline(str(cell)) for cell in row] for row in rows]
    return [_line(names), _line(["---"] * len(names)), *map(_line, cells), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
