"""Quality: what is expected of a merchant's raw rows, and how far they keep it.

    facts = Facts("EUR", frozenset({1, 2}), today, known={"article": articles["number"]})
    findings = examine("sale", sales, facts)
    [finding.sentence for finding in findings if finding.failed]

The expectations are declared in `expectations`, `checking` holds rows against them, `score` makes a score of what was
found and holds it against what the merchant was promised. Nothing here opens a store or knows the time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

import polars as pl

TENANT = "tenant"
"""Subject of what concerns all entities of a tenant."""


class Severity(Enum):
    """What a row that fails means: numbers are wrong (a breach), or they are less good than they could be."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Facts:
    """What rules know besides the rows.

    today: the merchant's local day. known: business numbers by entity, deleted ones included; an entity that the
    merchant does not have is missing or empty, and nothing is expected of references to it.
    """

    currency: str
    tax_numbers: frozenset[int]
    today: date
    known: Mapping[str, pl.Series]


Rule = Callable[[Facts], pl.Expr]
"""Makes an expression over the columns of one table: true, false, or null where there is nothing to expect."""


@dataclass(frozen=True)
class Expectation:
    """What is expected of every living row of an entity's raw table."""

    name: str
    severity: Severity
    sentence: str
    rule: Rule

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns the rule reads."""
        return tuple(dict.fromkeys(self.rule(_NOTHING).meta.root_names()))


_NOTHING = Facts("", frozenset(), date.min, {})


@dataclass(frozen=True)
class Finding:
    """What became of one expectation: rows it says something about, rows that fail, and ids of some of these."""

    entity: str
    name: str
    severity: Severity
    sentence: str
    checked: int
    failed: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrivals:
    """One entity's newest batches, taken together; finished_at is UTC."""

    extracted: int
    loaded: int
    quarantined: int
    finished_at: datetime


@dataclass(frozen=True)
class Measured:
    """One entity before it is scored. rows: examined, of all that are alive."""

    entity: str
    rows: int
    findings: tuple[Finding, ...]
    arrivals: Arrivals | None


@dataclass(frozen=True)
class TableQuality:
    """One entity. score: fraction of sound records; age_hours: since its newest batch, None without one."""

    entity: str
    rows: int
    quarantined: int
    checked: int
    failed: int
    score: float
    age_hours: float | None


@dataclass(frozen=True)
class Breach:
    """A promise that was not kept.

    kind: `quality` (score), `freshness` (age of a batch or of the newest sale) or `expectation` (rows that fail one of
    severity error). subject: an entity, or TENANT. promised, found: a fraction, hours or rows; None where nothing was
    ever there.
    """

    kind: str
    subject: str
    severity: Severity
    sentence: str
    promised: float
    found: float | None


@dataclass(frozen=True)
class QualityReport:
    """One tenant at one moment."""

    tenant_id: str
    as_of: datetime
    score: float
    tables: tuple[TableQuality, ...]
    expectations: tuple[Finding, ...]
    breaches: tuple[Breach, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The expectations that some row does not meet."""
        return tuple(finding for finding in self.expectations if finding.failed)
