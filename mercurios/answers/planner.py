"""A question becomes a metric query, or a refusal with its reason, or a question back.

    plan("Welche fünf Warengruppen hatten den meisten Umsatz?", context)
    # MetricQuery(names=("revenue",), group_by=("category",), order_by=(Order("revenue", descending=True),), limit=5, …)

Deterministic: no model writes anything. Each rule uses up the tags it understands; a query comes out only when every
word of the question has been used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mercurios.answers import breakdown, filters, measures, policy, timing
from mercurios.answers.outcome import Ambiguity, Context, Plan, Refusal
from mercurios.answers.reading import Reading, read
from mercurios.answers.sentence import Sentence, Stop
from mercurios.answers.validation import check, validated
from mercurios.metrics import MetricQuery
