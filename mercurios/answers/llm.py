"""An optional language model that proposes how to read a question; what it proposes is checked like anything else.

    model = open_model("http://127.0.0.1:8000/v1", "qwen", key="")
    plan_with("How did bananas do in May, in pieces?", context, model)

It is asked only where the planner did not understand, never about what is refused on principle (persons, causes, other
merchants). It sees the question, the names of metrics and the nearest names of this merchant, and no figures. Its
answer is a metric query as JSON, no SQL. A server that is slow, down, wrong or hostile leaves what the planner decided.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx
import structlog

from mercurios.answers.names import FILTERS
from mercurios.answers.outcome import Ambiguity, Context, Plan, Refusal
from mercurios.answers.planner import checked, plan_reading
from mercurios.answers.reading import Reading, Tag, read
from mercurios.answers.validation import fault
from mercurios.errors import ConfigError
from mercurios.metrics import Filter, MetricQuery, Order

log = structlog.get_logger(__name__)

LARGEST_REPLY_BYTES = 64_000
_ASKABLE = frozenset({"not_understood", "no_metric", "two_metrics", "two_periods", "contradiction", "malformed"})
"""Refusals that say "I did not understand"; any other stands whatever a model says."""
_FIELDS = frozenset({"names", "groupBy", "grain", "from", "to", "where", "orderBy", "limit", "unused"})
_GRAINS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")


@dataclass(frozen=True)
class LanguageModel:
    """An OpenAI-compatible server. timeout_seconds bounds the whole call."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_seconds: float = 10.0

    def complete(self, system: str, question: str) -> str:
        """The reply to one question; raises httpx.HTTPError or ValueError when there is none that can be used."""
        body = {
            "model": self.model,
            "temperature": 0,
            "response_format": {"type": "json_object"},
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
        }
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with (
            httpx.Client(timeout=self.timeout_seconds, follow_redirects=False) as client,
            client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=body, headers=headers) as reply,
        ):
            reply.raise_for_status()
            received = bytearray()
            for part in reply.iter_bytes():
                received += part
                if len(received) > LARGEST_REPLY_BYTES:
                    raise ValueError(f"the reply is larger than {LARGEST_REPLY_BYTES} bytes")
        content = json.loads(received)["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise ValueError("the reply has no text")
        return content


def open_model(url: str, model: str, key: str = "") -> LanguageModel | None:
    """The model behind a URL, None for `none:`; connects to nothing yet. Raises ConfigError for any other scheme."""
    scheme = url.partition(":")[0]
    if scheme == "none":
        return None
    if scheme not in ("http", "https") or not model:
        raise ConfigError(
            f"LLM of scheme {scheme!r} with model {model!r}: expected none:, or http(s)://HOST/v1 and a model name; "
            "set MERCURIOS_LLM and MERCURIOS_LLM_MODEL"
        )
    return LanguageModel(url, model, key)


def plan_with(question: str, context: Context, model: LanguageModel | None) -> Plan:
    """Like `plan`; where the planner did not understand, the model may propose. Raises BadRequest like `plan`."""
    reading = read(checked(question), context)
    own = plan_reading(reading, context)
    is_askable = isinstance(own, Ambiguity) or (isinstance(own, Refusal) and own.reason in _ASKABLE)
    if model is None or not is_askable:
        return own
    return _proposed(reading, context, model) or own


def _proposed(reading: Reading, context: Context, model: LanguageModel) -> MetricQuery | None:
    try:
        reply = json.loads(model.complete(_instructions(reading, context), reading.question))
        query = _query(reply)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        log.warning("llm.unusable", tenant=context.index.tenant_id, reason=type(error).__name__)
        return None
    refusal = fault(query, context)
    if refusal or not _keeps_what_is_sure(query, reading, context):
        log.info("llm.rejected", tenant=context.index.tenant_id, reason=refusal.reason if refusal else "inconsistent")
        return None
    return query


def _query(reply: Mapping[str, Any]) -> MetricQuery:
    """The proposal as a query; raises ValueError, KeyError or TypeError for anything but what was agreed."""
    if not isinstance(reply, dict) or not set(reply) <= _FIELDS or reply.get("unused"):
        raise ValueError("expected the agreed fields, and no word of the question left unused")
    grain, limit = reply.get("grain"), reply.get("limit") or 100
    if grain not in (None, *_GRAINS) or type(limit) is not int:
        raise ValueError("grain or limit is not one of the agreed")
    return MetricQuery(
        names=_texts(reply["names"]),
        group_by=_texts(reply.get("groupBy") or []),
        grain=grain,
        start=date.fromisoformat(reply["from"]),
        end=date.fromisoformat(reply["to"]),
        where=tuple(_filter(limit) for limit in reply.get("where") or []),
        order_by=tuple(
            Order(_text(one["column"]), descending=one.get("descending") is True) for one in reply.get("orderBy") or []
        ),
        limit=limit,
    )


def _filter(given: Mapping[str, Any]) -> Filter:
    dimension = _text(given["dimension"])
    values = tuple(int(value) if dimension == "branch" else _text(value) for value in given["values"])
    return Filter(dimension, _text(given["op"]), values)  # type: ignore[arg-type]  # the operator is validated like the rest


def _texts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise TypeError("expected a list")
    return tuple(_text(value) for value in given)


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError("expected a text")
    return given


def _keeps_what_is_sure(query: MetricQuery, reading: Reading, context: Context) -> bool:
    """The period, values, metrics and numbers that the planner itself read must be in the proposal."""
    limits = {(limit.dimension, str(value)) for limit in query.where for value in limit.values}
    figures = {str(query.limit), *(value for _, value in limits)}
    return all(_keeps(tag, query, limits, figures, context) for tag in reading.tags)


def _keeps(tag: Tag, query: MetricQuery, limits: set[tuple[str, str]], figures: set[str], context: Context) -> bool:
    if tag.span and tag.span.period:
        first, last = context.coverage.start, context.coverage.end
        return (query.start, query.end) == (max(tag.span.period.start, first), min(tag.span.period.end, last))
    if tag.role in ("value", "doubt"):
        entries = (tag.entry,) if tag.entry else tag.candidates
        return any((entry.kind, entry.key) in limits for entry in entries)
    if tag.role == "metric":
        return tag.value in query.names or (tag.value == "revenue" and "net_revenue" in query.names)
    return tag.number is None or str(tag.number) in figures


def _instructions(reading: Reading, context: Context) -> str:
    """What the model is told: the fields, the metrics, the days, and the nearest names of this merchant. No figures."""
    hits = context.index.search(reading.question, FILTERS, limit=30)
    return json.dumps(
        {
            "task": "Turn the question into one JSON object with the fields below. Return JSON only. If any word that "
            "changes the number does not fit into the fields, list it under unused and leave the rest out.",
            "fields": {
                "names": "list of metrics",
                "groupBy": "list of dimensions",
                "grain": [None, *_GRAINS],
                "from": "YYYY-MM-DD, first day",
                "to": "YYYY-MM-DD, last day",
                "where": [{"dimension": "a dimension", "op": "EQ, NE, IN or NOT_IN", "values": ["exact names"]}],
                "orderBy": [{"column": "metric, dimension or metric_time", "descending": True}],
                "limit": "1 to 1000",
                "unused": "list of words",
            },
            "metrics": {metric.name: metric.description["en"] for metric in context.catalog},
            "dimensions": sorted({dimension for metric in context.catalog for dimension in metric.dimensions}),
            "values": [{"dimension": hit.entry.kind, "value": hit.entry.key} for hit in hits],
            "today": context.coverage.end.isoformat(),
            "days": [context.coverage.start.isoformat(), context.coverage.end.isoformat()],
        },
        ensure_ascii=False,
    )
