"""Answers in words, German or English: every number of an answer comes from its rows.

    answer = answered(query, result.columns, result.rows, setting)
    answer.text      # 'Revenue in November 2017: USD 211,440.62'

Numbers are formatted here and computed nowhere: what the rows do not hold is not said.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from mercurios.answers.calendar_units import Period
from mercurios.answers.describe import (
    Setting,
    candidate_text,
    figures_text,
    is_ranking,
    row_text,
    scope_text,
    subject_text,
)
from mercurios.answers.formats import day_text, period_text
from mercurios.answers.outcome import Ambiguity, Answer, Refusal
from mercurios.answers.policy import definition
from mercurios.metrics import MetricQuery
from mercurios.retrieval import load_glossary

LINES = 12
"""Rows that are written out; the table has them all."""

Row = Sequence[object]


def probe(query: MetricQuery) -> MetricQuery:
    """The query with one row more: it tells whether the list goes on, and whether its last place is shared."""
    return replace(query, limit=query.limit + 1)


def answered(query: MetricQuery, columns: Sequence[str], rows: Sequence[Row], setting: Setting) -> Answer:
    """Write out the result of a query; a result without any value is a refusal that says so.

    rows: what `probe(query)` gave; at most `query.limit` of them are shown.
    """
    table = tuple(tuple(row) for row in rows)
    places = [place for place, column in enumerate(columns) if column in query.names]
    if not any(row[place] is not None for row in table for place in places):
        return refused(Refusal("no_data"), setting)
    return Answer(
        "ANSWERED",
        text_of(query, columns, table, setting),
        tuple(columns),
        table[: query.limit],
        query_as_json(query),
        _sources(query, setting),
    )


def refused(refusal: Refusal, setting: Setting) -> Answer:
    """Say why a question is not answered."""
    return Answer("REFUSED", setting.text("refusals", refusal.reason).format(**_given(refusal, setting)))


def asked_back(ambiguity: Ambiguity, setting: Setting) -> Answer:
    """Name the readings a question may have."""
    readings = dict.fromkeys(candidate_text(candidate, setting) for candidate in ambiguity.candidates)
    return Answer("AMBIGUOUS", setting.text("ambiguous").format(about=ambiguity.about, candidates=", ".join(readings)))


def text_of(query: MetricQuery, columns: Sequence[str], rows: Sequence[Row], setting: Setting) -> str:
    """The answer in words: what was asked, as it was understood, then one figure or a line a row."""
    values = [dict(zip(columns, row, strict=True)) for row in rows]
    head = f"{subject_text(query, setting)} {scope_text(query, setting)}"
    if not query.group_by and not query.grain:
        return f"{head}: {figures_text(query, values[0], setting)}"
    shown = values[: query.limit][:LINES]
    lines = [f"- {row_text(query, row, setting)}: {figures_text(query, row, setting)}" for row in shown]
    return "\n".join([f"{head}:", *lines, *_remarks(query, columns, rows, setting)])


def query_as_json(query: MetricQuery) -> dict[str, object]:
    """The query with the arguments of the API's `metrics`."""
    return {
        "names": list(query.names),
        "groupBy": list(query.group_by),
        "grain": query.grain,
        "from": query.start.isoformat() if query.start else None,
        "to": query.end.isoformat() if query.end else None,
        "where": [{"dimension": one.dimension, "op": one.op, "values": list(one.values)} for one in query.where],
        "orderBy": [{"column": order.column, "descending": order.descending} for order in query.order_by],
        "limit": query.limit,
    }


def _remarks(query: MetricQuery, columns: Sequence[str], rows: Sequence[Row], setting: Setting) -> list[str]:
    """What a reader would get wrong without being told."""
    keys = ["cut"] if min(len(rows), query.limit) > LINES else []
    if not is_ranking(query):
        return [setting.text(key) for key in [*keys, *(["limited"] if len(rows) > query.limit else [])]]
    place = list(columns).index(query.order_by[0].column)
    if len(rows) > query.limit and rows[query.limit][place] == rows[query.limit - 1][place]:
        keys.append("tied")
    if not query.order_by[0].descending:
        keys.append("present")
    return [setting.text(key) for key in keys]


def _given(refusal: Refusal, setting: Setting) -> dict[str, str]:
    given = dict(refusal.given)
    for field in given.keys() & {"start", "end"}:
        given[field] = day_text(date.fromisoformat(given[field]), setting.language)
    if "term" in given:
        given["term"], given["definition"] = definition(given["term"], setting.language)
    if "dimension" in given:
        given["dimension"] = setting.text("dimensions", given["dimension"])
    if "metric" in given:
        given["metric"] = setting.label(given["metric"])
    given["metrics"] = ", ".join(metric.label[setting.language] for metric in setting.context.catalog)
    return given


def _sources(query: MetricQuery, setting: Setting) -> tuple[str, ...]:
    """Definitions of the metrics with the trade's own, the days on record and the release."""
    texts = []
    for name in query.names:
        metric = setting.context.metric(name)
        if metric:
            texts.append(f"{metric.label[setting.language]}: {metric.description[setting.language]}")
    for term in load_glossary().values():
        if term.metric in query.names:
            shown, meaning = definition(term.key, setting.language)
            texts.append(setting.text("glossary").format(term=shown, definition=meaning))
    coverage = setting.context.coverage
    if setting.context.times(query.names) <= {"flow", "running"}:
        days = period_text(Period(coverage.start, coverage.end), setting.language)
        texts.append(setting.text("on_record").format(period=days))
    return (*texts, setting.text("release").format(release=setting.release))
