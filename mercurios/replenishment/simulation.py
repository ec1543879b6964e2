"""Simulated trade: a policy's levels against real demand, period by period, in money.

    costs = simulate(world, Plan(reorder_points, order_up_to))
    costs.total, costs.fill_rate

What happens in a period: orders arrive, stock is reviewed and ordered, customers come, what is left is kept. Demand
that meets no stock is lost. All policies meet the same `World`: an order of an item placed in a period takes the same
time whoever places it. Orders may overtake each other.
"""

from dataclasses import dataclass

import numpy as np

from mercurios.errors import ModelError
from mercurios.replenishment.levels import whole_packs
from mercurios.replenishment.protection import Counts, Floats


@dataclass(frozen=True)
class World:
    """What every policy meets. Units, money per unit, and per period where so named.

    demand, lead_periods: items × periods; lead times of at least one period. opening: stock on hand before the first.
    markdown: what a unit left after the last period loses. order_cost: money an order line costs.
    """

    demand: Floats
    lead_periods: Counts
    opening: Floats
    margin: Floats
    holding_per_period: Floats
    markdown: Floats
    pack: Floats
    order_cost: float
    review_periods: int = 1

    def __post_init__(self) -> None:
        if self.lead_periods.shape != self.demand.shape or self.lead_periods.min(initial=1) < 1:
            raise ModelError("expected a lead time of at least one period for every item and period of demand")


@dataclass(frozen=True)
class Plan:
    """Reorder points and order-up-to levels in units, periods × items; only periods of a review are looked at."""

    reorder_points: Floats
    order_up_to: Floats


@dataclass(frozen=True)
class Costs:
    """What a plan cost over all items and periods, in money; fill_rate is units sold by units asked for."""

    holding: float
    lost_margin: float
    markdown: float
    ordering: float
    fill_rate: float

    @property
    def total(self) -> float:
        """All four."""
        return self.holding + self.lost_margin + self.markdown + self.ordering


def simulate(world: World, plan: Plan) -> Costs:
    """Trade all items through all periods by a plan."""
    items, periods = world.demand.shape
    arriving = np.zeros((periods + int(world.lead_periods.max(initial=1)), items))
    on_hand, kept, sold, lines = world.opening.astype(np.float64), np.zeros(items), np.zeros(items), 0
    for period in range(periods):
        on_hand = on_hand + arriving[period]
        if period % world.review_periods == 0:
            position = on_hand + arriving[period + 1 :].sum(axis=0)
            order = _order(plan, period, position, world.pack)
            arriving[period + world.lead_periods[:, period], np.arange(items)] += order
            lines += int(np.count_nonzero(order))
        sale = np.minimum(on_hand, world.demand[:, period])
        on_hand, sold = on_hand - sale, sold + sale
        kept += on_hand
    return _costs(world, kept, sold, on_hand, lines)


def _order(plan: Plan, period: int, position: Floats, pack: Floats) -> Floats:
    due = position < plan.reorder_points[period]
    return np.where(due, whole_packs(np.maximum(plan.order_up_to[period] - position, 0.0), pack), 0.0)


def _costs(world: World, kept: Floats, sold: Floats, left: Floats, lines: int) -> Costs:
    asked = world.demand.sum(axis=1)
    return Costs(
        holding=float(kept @ world.holding_per_period),
        lost_margin=float((asked - sold) @ world.margin),
        markdown=float(left @ world.markdown),
        ordering=lines * world.order_cost,
        fill_rate=float(sold.sum() / asked.sum()) if asked.sum() else 1.0,
    )
