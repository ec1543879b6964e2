"""How stock is decided: review, service by class, what a lost unit is worth. Validated, frozen."""

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, Field, field_validator, model_validator

from mercurios.forecasting import Grain

CLASSES = tuple("".join(pair) for pair in product("ABC", "XYZ"))


class Service(BaseModel, frozen=True, extra="forbid"):
    """Bounds of a class' service level: the probability that stock lasts until the next order can be there."""

    least: float = Field(gt=0, lt=1)
    most: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"expected least <= most, got {self.least} and {self.most}")
        return self


# Wide, so that economics decide: at a fill rate of 95 % (97 %) of benchmarks/stock.py, .9 to .99 for A, .8 to .97 for B
# and .6 to .95 for C cost 0.5 % (3.5 %) more, and bounds of .01 to .9999 for all the same.
_BY_VALUE = {
    "A": Service(least=0.6, most=0.999),
    "B": Service(least=0.5, most=0.998),
    "C": Service(least=0.3, most=0.995),
}


class StockSettings(BaseModel, frozen=True, extra="forbid"):
    """What a merchant decides about stock.

    grain: of the forecast's periods. review_periods: periods from one review to the next. service: bounds by class, all
    nine of AX to CZ. goodwill: money a lost unit costs beyond its margin; raising it buys fill rate, and it may be
    negative. order_cost: money an order line costs. default_lead_days: for items without receipts and without a stated
    mean. min_receipts: observed lead times below this many do not make a distribution. error_correlation: of forecast
    errors from one period to the next. samples and seed: of the Monte Carlo.
    """

    grain: Grain = Grain.WEEK
    review_periods: int = Field(default=1, ge=1, le=52)
    service: Mapping[str, Service] = Field(default_factory=lambda: {name: _BY_VALUE[name[0]] for name in CLASSES})
    goodwill: float = Field(default=0.0, allow_inf_nan=False)
    order_cost: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    default_lead_days: float = Field(default=14.0, gt=0, le=730)
    min_receipts: int = Field(default=5, ge=1)
    error_correlation: float = Field(default=0.3, ge=0, lt=1)
    samples: int = Field(default=1_000, ge=100, le=100_000)
    seed: int = 1

    @field_validator("service")
    @classmethod
    def _whole(cls, service: Mapping[str, Service]) -> Mapping[str, Service]:
        if set(service) != set(CLASSES):
            raise ValueError(f"expected a service level for each of {', '.join(CLASSES)}, got {', '.join(service)}")
        return MappingProxyType(dict(service))

    @property
    def periods_a_year(self) -> float:
        """Periods of the grain in a year."""
        return 365.0 / self.grain.days
