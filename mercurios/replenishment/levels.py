"""Service and stock levels of items, from what a unit earns and what it costs to keep."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mercurios.replenishment.protection import Floats, Protection
from mercurios.replenishment.settings import StockSettings


@dataclass(frozen=True)
class Levels:
    """By item: service level (a probability), reorder point and order-up-to level in units."""

    service: Floats
    reorder_point: Floats
    order_up_to: Floats


def stock_levels(items: pl.DataFrame, demand: Protection, settings: StockSettings) -> Levels:
    """Levels at which one more unit would cost in keeping what it saves in lost sales.

    items: unique_id, service_class, unit_cost, price, holding_rate, obsolescence_rate; rows in the order of
    demand.keys. A lost sale does not come back, and one more unit in stock can be sold once per protection interval: so
    what a lost unit is worth stands against keeping one for that long, not for one period. The table of classes bounds
    the service level. With an order cost, orders are at least as large as the economic order quantity.
    """
    kept = carrying(items, settings)
    lost = np.maximum((items["price"] - items["unit_cost"]).to_numpy() + settings.goodwill, 0.0)
    either = lost + kept * demand.periods
    ratio = np.divide(lost, either, out=np.ones_like(either), where=either > 0)
    bounds = [settings.service[name] for name in items["service_class"]]
    service = np.clip(ratio, [one.least for one in bounds], [one.most for one in bounds])
    reorder_point = demand.quantile(service)
    return Levels(service, reorder_point, reorder_point + _lot(demand, kept, settings))


def carrying(items: pl.DataFrame, settings: StockSettings) -> Floats:
    """Money a unit in stock costs per period: capital, room and what it loses in value."""
    rates = items.select(pl.col("unit_cost") * (pl.col("holding_rate") + pl.col("obsolescence_rate"))).to_series()
    return np.asarray(rates.to_numpy() / settings.periods_a_year)


def whole_packs(units: Floats, pack: Floats) -> Floats:
    """Units rounded up to whole packs; what is above a pack by less than a millionth of it counts as that pack."""
    return np.asarray(np.ceil(units / pack - 1e-6) * pack)


def _lot(demand: Protection, kept: Floats, settings: StockSettings) -> Floats:
    """What an order is larger than the demand of a review, so that it is worth its cost."""
    a_period = np.divide(demand.mean, demand.periods, out=np.zeros_like(kept), where=demand.periods > 0)
    lots = np.sqrt(2 * settings.order_cost * a_period / np.where(kept > 0, kept, np.inf))
    return np.asarray(np.maximum(lots - a_period * settings.review_periods, 0.0))
