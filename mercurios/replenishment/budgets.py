"""Open-to-buy: which packs a budget buys."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mercurios.errors import ModelError
from mercurios.replenishment.protection import Floats, Protection


@dataclass(frozen=True)
class Orders:
    """What is to be ordered, by item: units wanted, units of a pack, smallest order, position before, money of a unit.

    wanted and least are whole packs.
    """

    wanted: Floats
    pack: Floats
    least: Floats
    position: Floats
    margin: Floats
    cost: Floats


class _Tranche(NamedTuple):
    """Units that are bought together; sorts by margin per money, best first."""

    rank: float
    item: int
    number: int
    units: float
    price: float


def within_budget(orders: Orders, demand: Protection, budget: float) -> Floats:
    """Cut orders to a budget: what has the highest expected margin per money is bought first; returns units by item.

    Packs of one order earn less one after the other; its smallest order is bought whole or not at all.
    Raises ModelError for a budget that is negative or no number.
    """
    if not (math.isfinite(budget) and budget >= 0):
        raise ModelError(f"expected a budget of 0 or more, got {budget}; leave it out to buy everything")
    if float(orders.wanted @ orders.cost) <= budget:
        return orders.wanted
    tranches = [one for item in np.flatnonzero(orders.wanted) for one in _tranches(orders, demand, int(item))]
    return _buy(sorted(tranches), budget, len(orders.wanted))


def _tranches(orders: Orders, demand: Protection, item: int) -> Iterator[_Tranche]:
    steps = np.arange(orders.least[item], orders.wanted[item] + orders.pack[item] / 2, orders.pack[item])
    stocks = orders.position[item] + np.concatenate([[0.0], steps])
    gains = orders.margin[item] * np.diff(_expected_sales(demand.paths[item], stocks))
    units = np.diff(steps, prepend=0.0)
    prices = units * orders.cost[item]
    with np.errstate(over="ignore"):  # what costs next to nothing ranks with what is free
        ranks = np.divide(-gains, prices, out=np.full_like(gains, -math.inf), where=prices > 0)
    ranks = np.maximum.accumulate(ranks)  # later packs never earn more, but for the last digit
    for number, (rank, count, price) in enumerate(zip(ranks, units, prices, strict=True)):
        yield _Tranche(float(rank), item, number, float(count), float(price))


def _expected_sales(path: Floats, stocks: Floats) -> Floats:
    below = np.searchsorted(path, stocks)
    sums = np.concatenate([[0.0], np.cumsum(path)])
    return np.asarray((sums[below] + (len(path) - below) * stocks) / len(path))


def _buy(tranches: Sequence[_Tranche], budget: float, items: int) -> Floats:
    bought, closed = np.zeros(items), set()
    for one in tranches:
        if one.item in closed:
            continue
        if one.price > budget:
            closed.add(one.item)  # later packs of an order come after those before them
            continue
        bought[one.item] += one.units
        budget -= one.price
    return bought
