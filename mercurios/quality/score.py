"""Score: one number for how sound a merchant's records are, and the promises that were not kept.

    report = scored("north", as_of, Sla(quality=0.98), measured, trading(days, today, zone))
    report.score, [breach.sentence for breach in report.breaches]

A table's score is the share of checks that rows pass, times the share of records that did not go to quarantine. The
tenant's score weighs the tables by their records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from mercurios.quality import TENANT, Arrivals, Breach, Finding, Measured, QualityReport, Severity, TableQuality
from mercurios.tenancy import Sla

SALE = "sale"
RHYTHM = timedelta(days=91)
_TELLABLE_HOURS = 48


@dataclass(frozen=True)
class Trading:
    """When the tills last sold something.

    last: newest day of business; ended_at: its end, with a time zone. closed_days: the longest pause that is usual, 1
    where every Sunday is closed.
    """

    last: date
    ended_at: datetime
    closed_days: int

    def age_hours(self, as_of: datetime) -> float:
        """How long ago that was; `as_of` is a moment with a time zone."""
        return _hours(as_of - self.ended_at)

    def allowed_hours(self, sla: Sla) -> float:
        """How long ago it may have been: as promised, and as long as the merchant is usually closed."""
        return sla.freshness_hours + 24 * self.closed_days


def trading(days: pl.Series, today: date, zone: ZoneInfo) -> Trading | None:
    """Read the rhythm of a merchant from the local days of all lines; None without one up to `today`.

    Of the pauses in the last quarter the longest 5 % count as unusual.
    """
    open_days = days.filter(days <= today).unique().sort()
    if open_days.is_empty():
        return None
    last: date = open_days[-1]
    steps = open_days.filter(open_days > last - RHYTHM).diff().dt.total_days().drop_nulls()
    usual = steps.quantile(0.95, "lower") or 1
    return Trading(last, datetime.combine(last + timedelta(days=1), time.min, zone), int(usual) - 1)


def scored(
    tenant_id: str, as_of: datetime, sla: Sla, measured: Sequence[Measured], traded: Trading | None
) -> QualityReport:
    """Make a report of what was measured at `as_of`, a moment with a time zone. Without any record the score is 1."""
    as_of = as_of.astimezone(UTC)  # two moments of one zone would be told apart by its clock
    tables = tuple(_table(each, as_of) for each in measured)
    weights = [_records(each) for each in measured]
    total = sum(weights)
    score = sum(table.score * weight for table, weight in zip(tables, weights, strict=True)) / total if total else 1.0
    findings = tuple(finding for each in measured for finding in each.findings)
    breaches = (*_quality(score, sla), *_freshness(tables, sla), *_trade(traded, as_of, sla), *_wrong(findings))
    return QualityReport(tenant_id, as_of, score, tables, findings, breaches)


def _table(measured: Measured, as_of: datetime) -> TableQuality:
    checked = sum(finding.checked for finding in measured.findings)
    failed = sum(finding.failed for finding in measured.findings)
    quarantined = measured.arrivals.quarantined if measured.arrivals else 0
    records = _records(measured)
    score = (1 - failed / checked if checked else 1.0) * (1 - quarantined / records if records else 1.0)
    age = _hours(as_of - measured.arrivals.finished_at.replace(tzinfo=UTC)) if measured.arrivals else None
    return TableQuality(measured.entity, measured.rows, quarantined, checked, failed, score, age)


def _records(measured: Measured) -> int:
    """What quarantined records are a share of: the newest batches, or the rows examined where these are more.

    A small batch of changes with one broken record says little of a large table.
    """
    arrivals = measured.arrivals or Arrivals(0, 0, 0, datetime.min)
    return arrivals.quarantined + max(measured.rows, arrivals.loaded)


def _quality(score: float, sla: Sla) -> Iterator[Breach]:
    if score < sla.quality:
        sentence = f"{score:.2%} of the records are sound, {sla.quality:.2%} were promised."
        yield Breach("quality", TENANT, Severity.ERROR, sentence, sla.quality, score)


def _freshness(tables: Sequence[TableQuality], sla: Sla) -> Iterator[Breach]:
    for table in tables:
        if table.age_hours is not None and table.age_hours > sla.freshness_hours:
            sentence = (
                f"The newest batch of {table.entity} is {span(table.age_hours)} old, "
                f"{span(sla.freshness_hours)} were promised."
            )
            yield Breach("freshness", table.entity, Severity.ERROR, sentence, sla.freshness_hours, table.age_hours)


def _trade(traded: Trading | None, as_of: datetime, sla: Sla) -> Iterator[Breach]:
    """Old sales are a warning: shops close, and a till that has sold nothing is no failure of the connection."""
    if traded is None:
        yield Breach("freshness", SALE, Severity.ERROR, "There is no sale.", sla.freshness_hours, None)
        return
    allowed, age = traded.allowed_hours(sla), traded.age_hours(as_of)
    if age > allowed:
        sentence = f"The newest sale is of {traded.last}, {span(age)} ago; {span(allowed)} are usual or promised."
        yield Breach("freshness", SALE, Severity.WARNING, sentence, allowed, age)


def _wrong(findings: Sequence[Finding]) -> Iterator[Breach]:
    for finding in findings:
        if finding.failed and finding.severity is Severity.ERROR:
            sentence = f"{finding.entity}: {finding.failed:,} of {finding.checked:,} rows fail: {finding.sentence}"
            yield Breach("expectation", finding.entity, finding.severity, sentence, 0, finding.failed)


def span(hours: float) -> str:
    """A time in words, beyond two days in days."""
    return f"{hours:,.0f} hours" if hours <= _TELLABLE_HOURS else f"{hours / 24:,.0f} days"


def _hours(age: timedelta) -> float:
    return age / timedelta(hours=1)
