"""Stock decisions: from the quantiles of a forecast to orders, and what policies cost on real demand.

    proposals = propose(items, forecast, lead_times, StockSettings(), budget=5_000.0)
    costs = simulate(world, Plan(reorder_points, order_up_to))

Nothing here opens a store: frames of polars come in and go out, the simulator trades arrays of items × periods.
"""

from mercurios.replenishment.classes import service_classes
from mercurios.replenishment.lead_times import LeadTimeBasis
from mercurios.replenishment.proposals import Reason, propose
from mercurios.replenishment.scenarios import LONGEST_DELAY_DAYS, Course, Delay, Difference, supplier_late
from mercurios.replenishment.settings import CLASSES, Service, StockSettings
from mercurios.replenishment.simulation import Costs, Plan, World, simulate
from mercurios.replenishment.spec import ReplenishmentSpec

__all__ = [
    "CLASSES",
    "LONGEST_DELAY_DAYS",
    "Costs",
    "Course",
    "Delay",
    "Difference",
    "LeadTimeBasis",
    "Plan",
    "Reason",
    "ReplenishmentSpec",
    "Service",
    "StockSettings",
    "World",
    "propose",
    "service_classes",
    "simulate",
    "supplier_late",
]
