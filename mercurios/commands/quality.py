"""`mercurios quality`: how good a merchant's raw rows are, on the screen."""

from collections.abc import Iterator

from mercurios.quality import QualityReport
from mercurios.quality.score import span
from mercurios.tenancy import Sla


def lines(report: QualityReport, sla: Sla) -> Iterator[str]:
    """A report as a person reads it: score, entities, what fails, what promise of the merchant's was not kept."""
    by_default = " (the default; `sla` in the tenant file)" if sla == Sla() else ""
    promised = f"{_percent(sla.quality)} promised{by_default}"
    yield f"{report.tenant_id}: {_percent(report.score)} of the records are sound, {promised}"
    for table in report.tables:
        age = "" if table.age_hours is None else f"   read {span(table.age_hours)} ago"
        quarantined = f"{table.quarantined:,} quarantined"
        yield f"  {table.entity:<12}{table.rows:>12,} rows  {quarantined:>18}  {_percent(table.score):>9}{age}"
    for finding in report.failed:
        examples = f", e.g. {', '.join(finding.examples)}" if finding.examples else ""
        sentence = f"{finding.sentence.rstrip('.')}: {finding.failed:,} of {finding.checked:,} fail"
        yield f"  {finding.severity.value}: {finding.entity}: {sentence}{examples}"
    for breach in report.breaches:
        yield f"  not kept: {breach.sentence}"


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"
