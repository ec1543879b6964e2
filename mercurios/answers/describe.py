"""A metric query and its rows in words, German or English.

    subject_text(query, setting)       # 'Revenue by category, highest first'
    scope_text(query, setting)         # '(branch 406) in November 2017'

How a query was understood is always said, so that a wrong reading can be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mercurios.answers.calendar_units import Period
from mercurios.answers.formats import messages, number_text, period_text, step_text
from mercurios.answers.outcome import Candidate, Context
from mercurios.metrics import Filter, MetricQuery

RANKED_UP_TO = 100
"""A list that is cut at fewer rows is a ranking."""


@dataclass(frozen=True)
class Setting:
    """Whom an answer is written for: tenant, language and the release the numbers come from."""

    context: Context
    language: str
    release: str

    def text(self, *path: str) -> str:
        """A text of `messages.yaml` in the language of the answer."""
        found = messages()
        for step in path:
            found = found[step]
        return str(found[self.language])

    def label(self, metric: str) -> str:
        """A metric's name to show."""
        found = self.context.metric(metric)
        return found.label[self.language] if found else metric


def is_ranking(query: MetricQuery) -> bool:
    """Whether the query wants the highest or lowest values only."""
    return bool(query.order_by) and query.order_by[0].column in query.names and query.limit < RANKED_UP_TO


def subject_text(query: MetricQuery, setting: Setting) -> str:
    """What is shown: `Revenue`, `Umsatz nach Filiale`, `Gross margin by category, highest first`."""
    labels = joined([setting.label(name) for name in query.names], setting)
    groups = [*([query.grain] if query.grain else []), *query.group_by]
    if not groups:
        return labels
    names = joined([setting.text("dimensions", group) for group in groups], setting)
    subject = setting.text("by").format(metric=labels, dimensions=names)
    if not is_ranking(query):
        return subject
    order = setting.text("highest" if query.order_by[0].descending else "lowest")
    return f"{subject}, {order}"


def scope_text(query: MetricQuery, setting: Setting) -> str:
    """What it is limited to: values and period, always with the year."""
    assert query.start is not None
    assert query.end is not None
    period = period_text(Period(query.start, query.end), setting.language)
    limits = "; ".join(_limit_text(limit, setting) for limit in query.where)
    return f"({limits}) {period}" if limits else period


def figures_text(query: MetricQuery, values: Mapping[str, object], setting: Setting) -> str:
    """The metrics of one row, each with its name when there are several."""
    texts = []
    for name in query.names:
        metric = setting.context.metric(name)
        unit = metric.unit if metric else "count"
        figure = number_text(values[name], unit, setting.language, setting.context.currency)
        texts.append(figure if len(query.names) == 1 else f"{setting.label(name)} {figure}")
    return "; ".join(texts)


def row_text(query: MetricQuery, values: Mapping[str, object], setting: Setting) -> str:
    """Which group and which step of time a row is about."""
    parts = [step_text(values["metric_time"], query.grain, setting.language)] if query.grain else []
    for dimension in query.group_by:
        value = "–" if values[dimension] is None else str(values[dimension])
        parts.append(f"{setting.text('dimensions', dimension)} {value}" if dimension == "branch" else value)
    return ", ".join(parts)


def candidate_text(candidate: Candidate, setting: Setting) -> str:
    """One way to read the question, in words that can be used to ask again."""
    if candidate.kind == "metric":
        return setting.label(candidate.key)
    if candidate.kind != "breakdown":
        return f"{setting.text('dimensions', candidate.kind)} {candidate.key}"
    if candidate.key == "total":
        return setting.text("total")
    return f"{'nach' if setting.language == 'de' else 'by'} {setting.text('dimensions', candidate.key)}"


def joined(parts: Sequence[str], setting: Setting) -> str:
    """`a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {'und' if setting.language == 'de' else 'and'} {parts[-1]}"


def _limit_text(limit: Filter, setting: Setting) -> str:
    values = joined([str(value) for value in limit.values], setting)
    named = f"{setting.text('dimensions', limit.dimension)} {values}"
    return f"{setting.text('without')} {named}" if limit.op in ("NE", "NOT_IN") else named
