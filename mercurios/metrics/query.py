"""What can be asked of the metrics, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

Grain = Literal["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]
FilterOp = Literal["EQ", "NE", "IN", "NOT_IN", "GT", "GE", "LT", "LE"]
Time = Literal["flow", "level", "balance", "as_of", "plan", "running", "comparison"]
Scalar = str | int | float | bool | None
Parameter = str | int | float | date | list[str | int | float]
Parameters = Mapping[str, Parameter]

GRAINS: tuple[Grain, ...] = get_args(Grain)
TIME = "metric_time"
MAX_LIMIT = 10_000


@dataclass(frozen=True)
class Metric:
    """A metric as readers see it; texts by language (`en`, `de`).

    unit: currency, count, fraction, units, days, weeks or ratio.
    time: what a period means to it. flow: what happened in it; level: the last stock snapshot in it; balance: the one
    against the other; as_of: the newest state, which has a value when the last day on record is in it; plan: months
    ahead; running: a window that ends with the last day of the period or step, and may begin before it; comparison:
    whole steps of a grain beside earlier ones, which lie before the period.
    needs: the role that may read it, and those above.
    grains: those it can be grouped by; a comparison needs one, an as_of metric has none.
    """

    name: str
    label: Mapping[str, str]
    unit: str
    description: Mapping[str, str]
    dimensions: tuple[str, ...]
    grains: tuple[Grain, ...] = GRAINS
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caution: Mapping[str, str] = field(default_factory=dict)
    formula: Mapping[str, str] = field(default_factory=dict)
    time: Time = "flow"
    needs: str = "viewer"


@dataclass(frozen=True)
class Filter:
    """A condition on a dimension; EQ, NE and the comparisons take one value, IN and NOT_IN at least one."""

    dimension: str
    op: FilterOp
    values: tuple[str | int | float, ...]


@dataclass(frozen=True)
class Order:
    """Sort by a result column; nulls come last."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class MetricQuery:
    """What to compute: metrics by dimensions and, with a grain, by time; start and end are inclusive local dates."""

    names: tuple[str, ...]
    group_by: tuple[str, ...] = ()
    grain: Grain | None = None
    start: date | None = None
    end: date | None = None
    where: tuple[Filter, ...] = ()
    order_by: tuple[Order, ...] = ()
    limit: int = 100

    @property
    def columns(self) -> tuple[str, ...]:
        """Result columns: `metric_time` when a grain is asked for, then the dimensions, then the metrics."""
        return ((TIME,) if self.grain else ()) + self.group_by + self.names


@dataclass(frozen=True)
class CompiledQuery:
    """A statement with named parameters (`$name`) and the columns it returns."""

    sql: str
    columns: tuple[str, ...]
    parameters: Parameters


@dataclass(frozen=True)
class MetricResult:
    """Rows of JSON scalars in the order of `columns`; dates are ISO 8601, money has its full decimals."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    release: str
    sql: str
