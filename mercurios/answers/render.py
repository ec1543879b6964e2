"""Answers in words, German or English: every number of an answer comes from its rows.

    answer = answered(query, columns, rows, setting)
    answer.text      # 'Revenue in November 2017: USD 187,204.11'
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from mercurios.answers.calendar_units import Period
from mercurios.answers.formats import messages, number_text, period_text, step_text
from mercurios.answers.outcome import Ambiguity, Answer, Candidate, Context, Refusal
from mercurios.answers.policy import definition
from mercurios.metrics import Filter, MetricQuery

LINES = 12
"""Rows that are written out; the table has them all."""


@dataclass(frozen=True)
class Setting:
    """Whom an answer is written for: tenant, language and the release the numbers come from."""

    context: Context
    language: str
    release: str


def answered(query: MetricQuery, columns: Sequence[str], rows: Sequence[Sequence[object]], setting: Setting) -> Answer:
    """Write out the result of a query; a result without any value is a refusal that says so."""
    table = tuple(tuple(row) for row in rows)
    if not _has_value(query, columns, table):
        return refused(Refusal("no_data"), setting)
    return Answer(
        "ANSWERED",
        text_of(query, columns, table, setting),
        tuple(columns),
        table,
        query_as_json(query),
        _sources(query, setting),
    )


def refused(refusal: Refusal, setting: Setting) -> Answer:
    """Say why a question is not answered."""
    template = messages()["refusals"][refusal.reason][setting.language]
    return Answer("REFUSED", template.format(**_given(refusal, setting)))


def asked_back(ambiguity: Ambiguity, setting: Setting) -> Answer:
    """Name the readings a question may have."""
    readings = ", ".join(dict.fromkeys(_candidate_text(candidate, setting) for candidate in ambiguity.candidates))
    template = messages()["ambiguous"][setting.language]
    return Answer("AMBIGUOUS", template.format(about=ambiguity.about, candidates=readings))


def text_of(query: MetricQuery, columns: Sequence[str], rows: Sequence[Sequence[object]], setting: Setting) -> str:
    """The answer in words: what was asked, as it was understood, then one figure or a line a row."""
    head = f"{subject_text(query, setting)} {scope_text(query, setting)}"
    if not query.group_by and not query.grain:
        return f"{head}: {_figures(query, columns, rows[0], setting)}"
    lines = [f"- {_row_label(query, columns, row, setting)}: {_figures(query, columns, row, setting)}" for row in rows[:LINES]]
    if len(rows) > LINES:
        lines.append(messages()["cut"][setting.language])
    is_ranking = bool(query.order_by) and query.order_by[0].column != "metric_time" and query.limit < 100
    if len(rows) == query.limit and not is_ranking:
        lines.append(messages()["limited"][setting.language])
    return "\n".join([f"{head}:", *lines])


def subject_text(query: MetricQuery, setting: Setting) -> str:
    """What is shown: `Revenue`, `Umsatz nach Filiale`, `Categories by revenue, highest first`."""
    labels = _and([_label(name, setting) for name in query.names], setting)
    groups = [*([query.grain] if query.grain else []), *query.group_by]
    if not groups:
        return labels
    order = query.order_by[0] if query.order_by else None
    if order and order.column in query.names and query.limit < 100:
        template = messages()["highest" if order.descending else "lowest"][setting.language]
        plural = messages()["plurals"][groups[0]][setting.language]
        return str(template.format(plural=plural, metric=_label(order.column, setting)))
    names = _and([messages()["dimensions"][group][setting.language] for group in groups], setting)
    return str(messages()["by"][setting.language].format(metric=labels, dimensions=names))


def scope_text(query: MetricQuery, setting: Setting) -> str:
    """What it is limited to: values and period, always with the year."""
    assert isinstance(query.start, date)
    assert isinstance(query.end, date)
    limits = [_limit_text(limit, setting) for limit in query.where]
    period = period_text(Period(query.start, query.end), setting.language)
    return f"({'; '.join(limits)}) {period}" if limits else period


def query_as_json(query: MetricQuery) -> dict[str, object]:
    """The query with the arguments of the API's `metrics`."""
    return {
        "names": list(query.names),
        "groupBy": list(query.group_by),
        "grain": query.grain,
        "from": query.start.isoformat() if query.start else None,
        "to": query.end.isoformat() if query.end else None,
        "where": [
            {"dimension": limit.dimension, "op": str(limit.op), "values": list(limit.values)} for limit in query.where
        ],
        "orderBy": [{"column": order.column, "descending": order.descending} for order in query.order_by],
        "limit": query.limit,
    }


def _has_value(query: MetricQuery, columns: Sequence[str], rows: tuple[tuple[object, ...], ...]) -> bool:
    places = [place for place, column in enumerate(columns) if column in query.names]
    return any(row[place] is not None for row in rows for place in places)


def _figures(query: MetricQuery, columns: Sequence[str], row: Sequence[object], setting: Setting) -> str:
    values = dict(zip(columns, row, strict=True))
    texts = []
    for name in query.names:
        metric = setting.context.metric(name)
        unit = metric.unit if metric else "count"
        figure = number_text(values[name], unit, setting.language, setting.context.currency)
        texts.append(figure if len(query.names) == 1 else f"{_label(name, setting)} {figure}")
    return "; ".join(texts)


def _row_label(query: MetricQuery, columns: Sequence[str], row: Sequence[object], setting: Setting) -> str:
    values = dict(zip(columns, row, strict=True))
    parts = [step_text(values["metric_time"], query.grain, setting.language)] if query.grain else []
    for dimension in query.group_by:
        name = messages()["dimensions"][dimension][setting.language]
        value = "–" if values[dimension] is None else values[dimension]
        parts.append(f"{name} {value}" if dimension == "branch" else str(value))
    return ", ".join(parts)


def _label(name: str, setting: Setting) -> str:
    metric = setting.context.metric(name)
    return metric.label[setting.language] if metric else name


def _limit_text(limit: Filter, setting: Setting) -> str:
    name = messages()["dimensions"][limit.dimension][setting.language]
    values = _and([str(value) for value in limit.values], setting)
    is_excluded = str(limit.op) in ("NE", "NOT_IN")
    return f"{messages()['no'][setting.language]} {name} {values}" if is_excluded else f"{name} {values}"


def _and(parts: Sequence[str], setting: Setting) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {'und' if setting.language == 'de' else 'and'} {parts[-1]}"


def _candidate_text(candidate: Candidate, setting: Setting) -> str:
    if candidate.kind == "metric":
        return _label(candidate.key, setting)
    if candidate.kind == "breakdown":
        total = messages()["total"][setting.language]
        if candidate.key == "total":
            return str(total)
        name = messages()["dimensions"][candidate.key][setting.language]
        return f"nach {name}" if setting.language == "de" else f"by {name}"
    return f"{messages()['dimensions'][candidate.kind][setting.language]} {candidate.key}"


def _given(refusal: Refusal, setting: Setting) -> dict[str, str]:
    given = dict(refusal.given)
    for field in ("start", "end"):
        if field in given:
            from mercurios.answers.formats import day_text

            given[field] = day_text(date.fromisoformat(given[field]), setting.language)
    if "term" in given:
        given["term"], given["definition"] = definition(given["term"], setting.language)
    if "dimension" in given:
        given["dimension"] = messages()["dimensions"][given["dimension"]][setting.language]
    if "metric" in given:
        given["metric"] = _label(given["metric"], setting)
    given["metrics"] = ", ".join(metric.label[setting.language] for metric in setting.context.catalog)
    return given


def _sources(query: MetricQuery, setting: Setting) -> tuple[str, ...]:
    """Definitions of the metrics, the days on record and the release."""
    coverage = setting.context.coverage
    definitions = [
        f"{metric.label[setting.language]}: {metric.description[setting.language]}"
        for metric in setting.context.catalog
        if metric.name in query.names
    ]
    days = period_text(Period(coverage.start, coverage.end), setting.language)
    on_record = f"Verkäufe liegen vor {days}" if setting.language == "de" else f"Sales on record {days}"
    return (*definitions, on_record, f"Release {setting.release}")
