"""Order proposals: forecasts, stock and lead times in, one order line with its reason and effect per item out.

    proposals = propose(items, forecast, lead_times, StockSettings(), budget=5_000.0)
    proposals.filter(pl.col("order_quantity") > 0)

Nothing here opens a store or makes text: a reason is a code, its numbers stand beside it.
"""

from enum import StrEnum

import numpy as np
import polars as pl

from mercurios.errors import ModelError
from mercurios.replenishment.budgets import Orders, within_budget
from mercurios.replenishment.lead_times import draw_lead_times
from mercurios.replenishment.levels import Levels, carrying, stock_levels, whole_packs
from mercurios.replenishment.protection import QUANTILES, Floats, Protection, protection_demand
from mercurios.replenishment.settings import CLASSES, StockSettings

_ID = pl.col("unique_id")
_POSITIVE = ("pack_size",)
_NOT_NEGATIVE = ("on_order", "unit_cost", "price", "holding_rate", "obsolescence_rate", "minimum_order")
_NUMBERS = ("on_hand", *_POSITIVE, *_NOT_NEGATIVE)


class Reason(StrEnum):
    """Why an item is ordered as it is; the columns that tell its numbers."""

    BELOW_REORDER_POINT = "below_reorder_point"  # position, reorder_point, order_up_to
    MINIMUM_ORDER = "minimum_order"  # less was needed than the smallest order: order_quantity
    ENOUGH_STOCK = "enough_stock"  # position, reorder_point
    NO_DEMAND = "no_demand"  # nothing is expected to be sold: expected_demand
    BUDGET_CUT = "budget_cut"  # fewer packs than wanted: wanted_quantity, order_quantity
    BUDGET_SPENT = "budget_spent"  # wanted, but other items earn more on the money: wanted_quantity
    NO_FORECAST = "no_forecast"  # none, or with gaps, in the periods asked for; nothing is proposed
    NO_STOCK = "no_stock"  # how much is there is not known, so `propose` cannot be asked
    NO_PRICE = "no_price"  # what a unit costs or earns is not known, so `propose` cannot be asked


def propose(
    items: pl.DataFrame,
    forecast: pl.DataFrame,
    lead_times: pl.DataFrame,
    settings: StockSettings,
    budget: float | None = None,
) -> pl.DataFrame:
    """What to order at this review; one row per item, by unique_id.

    items: one row per unique_id (article, article and branch, or category) with service_class (AX to CZ), on_hand and
    on_order in units, unit_cost and price in money of one tax basis, holding_rate and obsolescence_rate as fractions of
    the unit cost a year, pack_size and minimum_order in units; optionally lead_days_mean, lead_days_sd. Stock on hand
    below zero counts as none. forecast: units by unique_id and period ds, from the period that begins now: mean, lo80,
    hi80, lo95, hi95; its last period goes on for lead times that reach further. lead_times: unique_id, lead_days per
    receipt; see `draw_lead_times` for what stands in. budget: money for all orders, or no limit.

    Returns unique_id, service_class, service_level, lead_time_basis, protection_periods, expected_demand, safety_stock
    (reorder point less expected demand; below zero where keeping a unit costs more than losing it), reorder_point,
    order_up_to, position, wanted_quantity, order_quantity, order_value, lost_margin_avoided and holding_cost_added
    (expected money until the next order can arrive, the latter with obsolescence), reason.
    Raises ModelError naming item and column for items or forecasts that contradict what is stated here.
    """
    items = _checked(items)
    usable = _usable(forecast, items)
    known = items.join(usable.select("unique_id").unique(), on="unique_id", how="semi").sort("unique_id")
    leads, basis = draw_lead_times(known, lead_times, settings)
    demand = protection_demand(usable, leads, settings)
    levels = stock_levels(known, demand, settings)
    orders = _orders(known, levels)
    quantity = orders.wanted if budget is None else within_budget(orders, demand, budget)
    proposals = pl.DataFrame(
        {
            "unique_id": known["unique_id"],
            "service_level": levels.service,
            "lead_time_basis": pl.Series(basis, dtype=pl.String),
            "protection_periods": demand.periods,
            "expected_demand": demand.mean,
            "safety_stock": levels.reorder_point - demand.mean,
            "reorder_point": levels.reorder_point,
            "order_up_to": levels.order_up_to,
            "position": orders.position,
            "wanted_quantity": orders.wanted,
            "order_quantity": quantity,
            "order_value": quantity * orders.cost,
            **_effect(known, orders, quantity, demand, settings),
            "reason": _reasons(orders, levels, quantity, demand),
        }
    )
    return (
        items.select("unique_id", "service_class")
        .join(proposals, on="unique_id", how="left")
        .sort("unique_id")
        .with_columns(
            pl.col("wanted_quantity", "order_quantity", "order_value").fill_null(0.0),
            pl.col("reason").fill_null(Reason.NO_FORECAST),
        )
    )


def _checked(items: pl.DataFrame) -> pl.DataFrame:
    _require(items, ("unique_id", "service_class", *_NUMBERS), "items")
    twice = items.filter(_ID.is_duplicated())
    if not twice.is_empty():
        raise ModelError(f"item {twice['unique_id'][0]!r}: expected one row, got several; add up its stock first")
    unknown = items.filter(~pl.col("service_class").is_in(CLASSES).fill_null(False))
    if not unknown.is_empty():
        key, name = unknown.select("unique_id", "service_class").row(0)
        raise ModelError(f"item {key!r}: expected a service_class of {', '.join(CLASSES)}, got {name!r}")
    numbers = items.with_columns(pl.col(_NUMBERS).cast(pl.Float64))
    for name in _NUMBERS:
        _require_range(numbers, name)
    return numbers.with_columns(pl.col("on_hand").clip(lower_bound=0.0)).sort("unique_id")


def _require(frame: pl.DataFrame, columns: tuple[str, ...], what: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ModelError(f"expected {what} with the columns {', '.join(columns)}; {', '.join(missing)} is missing")


def _require_range(items: pl.DataFrame, name: str) -> None:
    column = pl.col(name)
    right = column.is_finite()
    if name in _POSITIVE:
        right &= column > 0
    elif name in _NOT_NEGATIVE:
        right &= column >= 0
    wrong = items.filter(~right.fill_null(False))
    if not wrong.is_empty():
        bound = "above 0" if name in _POSITIVE else "of 0 or more" if name in _NOT_NEGATIVE else "that is finite"
        key, value = wrong.select("unique_id", name).row(0)
        raise ModelError(f"item {key!r}: expected a {name} {bound}, got {value}; mend it in the merchant's masters")


def _usable(forecast: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The forecasts of these items that begin with the first period and have no gap; a shorter one goes on."""
    _require(forecast, ("unique_id", "ds", "mean", *QUANTILES), "a forecast")
    if forecast.select(pl.struct("unique_id", "ds").is_duplicated().any()).item():
        raise ModelError("expected one forecast per unique_id and ds, got several; pass the forecasts of one model")
    own = forecast.join(items.select("unique_id"), on="unique_id", how="semi")
    values = pl.col("mean", *QUANTILES)
    whole = own.select("unique_id").unique().join(own.select("ds").unique(), how="cross")
    rows = whole.join(own, on=["unique_id", "ds"], how="left").sort("unique_id", "ds")
    broken = pl.any_horizontal(values.is_null() | ~values.is_finite())
    gap = (broken & (pl.col("ds") <= pl.col("last"))).any().over("unique_id")
    ends = own.group_by("unique_id").agg(last=pl.col("ds").max())
    return (
        rows.join(ends, on="unique_id", how="left")
        .filter(~gap.fill_null(True))
        .sort("unique_id", "ds")
        .with_columns(values.forward_fill().over("unique_id"))
        .select("unique_id", "ds", values)
    )


def _orders(items: pl.DataFrame, levels: Levels) -> Orders:
    on_hand, on_order, pack, least, cost, price = (
        items[name].to_numpy() for name in ("on_hand", "on_order", "pack_size", "minimum_order", "unit_cost", "price")
    )
    position = on_hand + on_order
    gap = np.where(position < levels.reorder_point, levels.order_up_to - position, 0.0)
    smallest = np.maximum(whole_packs(least, pack), pack)
    wanted = np.where(gap > 0, np.maximum(whole_packs(gap, pack), smallest), 0.0)
    return Orders(wanted, pack, smallest, position, price - cost, cost)


def _effect(
    items: pl.DataFrame, orders: Orders, quantity: Floats, demand: Protection, settings: StockSettings
) -> dict[str, Floats]:
    sold = demand.expected_sales(orders.position + quantity) - demand.expected_sales(orders.position)
    kept = carrying(items, settings) * demand.periods
    return {"lost_margin_avoided": orders.margin * sold, "holding_cost_added": kept * (quantity - sold)}


def _reasons(orders: Orders, levels: Levels, quantity: Floats, demand: Protection) -> list[str]:
    needed = levels.order_up_to - orders.position
    told = [
        (demand.mean <= 0, Reason.NO_DEMAND),
        (orders.wanted <= 0, Reason.ENOUGH_STOCK),
        (quantity <= 0, Reason.BUDGET_SPENT),
        (quantity < orders.wanted, Reason.BUDGET_CUT),
        (whole_packs(needed, orders.pack) < orders.least, Reason.MINIMUM_ORDER),
    ]
    reasons = np.select([when for when, _ in told], [str(why) for _, why in told], str(Reason.BELOW_REORDER_POINT))
    return [str(one) for one in reasons]
