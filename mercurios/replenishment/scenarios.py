"""Scenarios of supply: what it costs when a supplier is late, on the same drawn demand.

    late = supplier_late(items, forecast, proposals, StockSettings(), days=14)
    late.lost_margin.mean, late.lost_margin.lo80, late.lost_margin.hi80

Shelves are traded week by week along drawn paths until today's order and the next are there: stock on hand sells, open
orders and new ones arrive, demand that meets an empty shelf is lost. On time and late meet the same demand and the same
chance of lead times (common random numbers), so the difference is the delay's alone. Lead times are one supplier's and
shared by its items; demand errs item by item, apart from its own past.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.signal import lfilter
from scipy.stats import norm

from mercurios.errors import ModelError
from mercurios.replenishment.lead_times import draw_lead_times
from mercurios.replenishment.levels import whole_packs
from mercurios.replenishment.proposals import propose
from mercurios.replenishment.protection import SHARES, Counts, Floats, quantile_points
from mercurios.replenishment.settings import StockSettings

LONGEST_DELAY_DAYS = 90
_NO_RECEIPTS = pl.DataFrame(schema={"unique_id": pl.String, "lead_days": pl.Float64})
_SLICE = 64


@dataclass(frozen=True)
class Difference:
    """Late less on time: the mean over all paths, and the ends of the interval that holds 80 % of them."""

    mean: float
    lo80: float
    hi80: float


@dataclass(frozen=True)
class Course:
    """What comes of one course of supply until the next order is there; money is net.

    order_quantity, order_value: of today's orders, before any budget. stockout_risk: chance that an item runs out, a
    fraction, over items and paths. lost_margin: expected.
    """

    order_quantity: float
    order_value: float
    stockout_risk: float
    lost_margin: float


@dataclass(frozen=True)
class Delay:
    """A supplier that is late, and is ordered from accordingly. weeks: how far was looked, in periods."""

    items: int
    weeks: int
    on_time: Course
    late: Course
    stockout_risk: Difference
    lost_margin: Difference


def supplier_late(items: pl.DataFrame, forecast: pl.DataFrame, settings: StockSettings, *, days: float) -> Delay:
    """What happens when everything that is open or ordered at one supplier comes `days` later than usual.

    items, forecast: as `propose` takes them, of one supplier, and on_order_days, in which open orders are expected, or
    null for a usual lead time. Items without a forecast count for nothing.
    Raises ModelError for a delay out of range or no item to look at.
    """
    if not 1 <= days <= LONGEST_DELAY_DAYS:
        raise ModelError(f"a delay of {days} days: expected 1 to {LONGEST_DELAY_DAYS}")
    usual, late = (_Policy.of(rows, forecast, settings) for rows in (items, items.with_columns(late_days=float(days))))
    known = items.join(usual.proposals, on="unique_id", how="semi").sort("unique_id")
    if known.is_empty():
        raise ModelError(
            "expected an item of the supplier with a forecast, got none; its articles have not sold lately"
        )
    weeks = int(late.leads.max()) + settings.review_periods
    points = _points(forecast, known)
    losses = _Losses.none(settings.samples), _Losses.none(settings.samples)
    for first in range(0, known.height, _SLICE):
        part = slice(first, first + _SLICE)
        demand = _demand(points[part], weeks, settings, first)
        for course, policy in zip(losses, (usual, late), strict=True):
            course.add(_trade(known[part], demand, policy.only(part), settings), known[part])
    on_time, delayed = losses
    return Delay(
        items=known.height,
        weeks=weeks,
        on_time=_course(usual, on_time, known.height),
        late=_course(late, delayed, known.height),
        stockout_risk=_difference((delayed.empty - on_time.empty) / known.height),
        lost_margin=_difference(delayed.margin - on_time.margin),
    )


@dataclass(frozen=True)
class _Policy:
    """Proposals, lead times (items × samples) and the period in which open orders come, by item with a forecast."""

    proposals: pl.DataFrame
    leads: Floats
    awaited: Counts

    @classmethod
    def of(cls, items: pl.DataFrame, forecast: pl.DataFrame, settings: StockSettings) -> "_Policy":
        """What would be proposed for these items; with `late_days` among their columns, for that delay."""
        proposals = propose(items, forecast, _NO_RECEIPTS, settings).filter(pl.col("service_level").is_not_null())
        known = items.join(proposals, on="unique_id", how="semi").sort("unique_id")
        leads, _ = draw_lead_times(known, _NO_RECEIPTS, settings)
        late = known["late_days"] if "late_days" in known.columns else pl.zeros(known.height, eager=True)
        due = np.ceil((known["on_order_days"] + late).to_numpy() / settings.grain.days)
        usual = leads.mean(axis=1) if leads.size else np.zeros(0)
        awaited = np.where(np.isnan(due), np.ceil(usual), np.maximum(due, 1.0)).astype(np.int64)
        return cls(proposals, leads, awaited)

    def only(self, part: slice) -> "_Policy":
        """Some of the items."""
        return _Policy(self.proposals[part], self.leads[part], self.awaited[part])


@dataclass(frozen=True)
class _Losses:
    """By path, summed over items: margin lost in money, and items that ran out."""

    margin: Floats
    empty: Floats

    @classmethod
    def none(cls, samples: int) -> "_Losses":
        """Nothing lost yet."""
        return cls(np.zeros(samples), np.zeros(samples))

    def add(self, lost: Floats, items: pl.DataFrame) -> None:
        """lost: units lost by item and path."""
        margin = np.maximum((items["price"] - items["unit_cost"]).to_numpy(), 0.0)
        np.add(self.margin, margin @ lost, out=self.margin)
        np.add(self.empty, (lost > 0).sum(axis=0), out=self.empty)


def _points(forecast: pl.DataFrame, items: pl.DataFrame) -> Floats:
    """Items × periods × quantiles."""
    own = forecast.join(items.select("unique_id"), on="unique_id", how="semi").sort("unique_id", "ds")
    return quantile_points(own).reshape(items.height, -1, len(SHARES))


def _demand(points: Floats, weeks: int, settings: StockSettings, place: int) -> Floats:
    """Periods × items × samples in units; the last period of the forecast goes on."""
    items, rho = len(points), settings.error_correlation
    noise = np.random.default_rng((settings.seed, 2, place)).standard_normal((weeks, items, settings.samples))
    noise[1:] *= np.sqrt(1 - rho * rho)
    ranks = norm.cdf(lfilter([1.0], [1.0, -rho], noise, axis=0))
    last = points.shape[1] - 1
    drawn = [
        [np.interp(ranks[week, item], SHARES, points[item, min(week, last)]) for item in range(items)]
        for week in range(weeks)
    ]
    return np.asarray(drawn)


def _trade(items: pl.DataFrame, demand: Floats, policy: _Policy, settings: StockSettings) -> Floats:
    """Units lost, items × samples, when today's proposals are ordered and every review after it by the same levels."""
    weeks, count, samples = demand.shape
    pack, on_order = (items[name].to_numpy()[:, None] for name in ("pack_size", "on_order"))
    point, upto, first = (
        policy.proposals[name].to_numpy()[:, None] for name in ("reorder_point", "order_up_to", "wanted_quantity")
    )
    leads = policy.leads.astype(np.int64)
    arriving = np.zeros((weeks + max(int(leads.max()), int(policy.awaited.max())) + 1, count, samples))
    arriving[policy.awaited, np.arange(count)] += on_order
    on_hand, lost = np.zeros((count, samples)) + items["on_hand"].to_numpy()[:, None], np.zeros((count, samples))
    rows, columns = np.indices((count, samples))
    awaited = np.zeros((count, samples)) + on_order
    for week in range(weeks):
        on_hand, awaited = on_hand + arriving[week], awaited - arriving[week]
        if week % settings.review_periods == 0:
            gap = np.where(on_hand + awaited < point, upto - on_hand - awaited, 0.0)
            order = whole_packs(np.maximum(gap, 0.0), pack) if week else np.broadcast_to(first, gap.shape)
            arriving[week + leads, rows, columns] += order
            awaited = awaited + order
        sold = np.minimum(on_hand, demand[week])
        lost += demand[week] - sold
        on_hand = on_hand - sold
    return lost


def _course(policy: _Policy, losses: _Losses, items: int) -> Course:
    quantity, value = (float(policy.proposals[name].sum()) for name in ("wanted_quantity", "order_value"))
    return Course(quantity, value, float(losses.empty.mean() / items), float(losses.margin.mean()))


def _difference(paths: Floats) -> Difference:
    low, high = np.quantile(paths, [0.1, 0.9])
    return Difference(float(paths.mean()), float(low), float(high))
