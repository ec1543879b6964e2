"""What is usual, what an alarm is, and how many false ones there may be."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DAYS = 14
"""A shift is looked for in so many days, with forecasts made before they began."""
MONTH_DAYS = 30.4375
_LEAST_VALUES = 4
_BUDGET = {"series": 0.4, "level": 0.3, "coverage": 0.05, "zeros": 0.05, "beginners": 0.05}


@dataclass(frozen=True)
class DriftRules:
    """false_alarms: how many a series and month may give while nothing changes, over everything that is watched.

    sales: the share of a level's sales whose series must be in alarm before its method is questioned.
    """

    false_alarms: float = 0.001
    sales: float = 0.05

    def chance(self, what: str, series: int = 1) -> float:
        """Of a false alarm in one look at what all of so many series give together.

        Looks at fortnights that overlap count twice a fortnight.
        """
        return min(0.5, self.false_alarms * _BUDGET[what] * series * DAYS / MONTH_DAYS / 2)


@dataclass(frozen=True)
class Alarm:
    """unique_id: None where the level as a whole is meant.

    score, limit: how unusual the fortnight up to `until` was, and where an alarm begins; in standard deviations.
    """

    kind: Literal["residuals", "coverage", "inputs"]
    level: str
    unique_id: str | None
    until: date
    score: float
    limit: float
    told: str


@dataclass(frozen=True)
class Usual:
    """A number as it comes while nothing changes; `limit` in standard deviations."""

    mean: float
    sd: float
    limit: float

    @classmethod
    def of(cls, values: Vector, chance: float, *, freedom: int, sides: Literal[1, 2] = 2) -> "Usual | None":
        """Student's t with `freedom`; None where values are too few to tell, or never differ."""
        from scipy.stats import t

        if len(values) < _LEAST_VALUES or not np.ptp(values):
            return None
        sd = values.std(ddof=1) * np.sqrt(1 + 1 / len(values))
        return cls(float(values.mean()), float(sd), float(t.isf(chance / sides, freedom)))

    def score(self, value: float) -> float:
        """In standard deviations."""
        return (value - self.mean) / self.sd
