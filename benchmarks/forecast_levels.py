"""The Complete Journey as one merchant: the sales of each level that forecasts are measured on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from mercurios.config import ROOT
from mercurios.forecasting import Grain, Panel, split_series
from mercurios.forecasting.series import Rules
from mercurios.sandbox.journey import data_folder
from mercurios.sandbox.masters import products
from mercurios.sandbox.sales import TIME_ZONE

FOLDS = 3
_WEEK_TWO = date(2017, 1, 2)  # when the second week of the promotions begins
_KEY = ("unique_id", "ds")


@dataclass(frozen=True)
class Level:
    """What is forecast: sums of `value` by `key` and period, for the `series` largest."""

    name: str
    key: str
    grain: Grain
    series: int
    value: str = "sales_value"
    promoted: bool = False

    @property
    def horizon(self) -> int:
        """Periods ahead: four weeks."""
        return 28 // self.grain.days


LEVELS = (
    Level("total_daily", "all", Grain.DAY, 1),
    Level("departments_daily", "department", Grain.DAY, 10),
    Level("stores_daily", "store_id", Grain.DAY, 100),
    Level("categories_daily", "product_category", Grain.DAY, 150),
    Level("categories_weekly", "product_category", Grain.WEEK, 150, promoted=True),
    Level("products_weekly", "product_id", Grain.WEEK, 1_000, "units", promoted=True),
)


def panels() -> Iterator[tuple[Level, Panel]]:
    """Each level with its series. Which are the largest is told by what lies before the windows that are scored."""
    lines = sale_lines()
    for level in LEVELS:
        yield level, _panel(lines, level)


def sale_lines() -> pl.LazyFrame:
    """One row per sale line: all, department, store_id, product_category, product_id, sold_on, sales_value, units."""
    data = data_folder()
    master = products(pl.read_parquet(data / "products.parquet")).lazy()
    local = pl.col("transaction_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(TIME_ZONE).dt.date()
    return (
        pl.scan_parquet(data / "transactions.parquet")
        .join(master.select("product_id", "department", "product_category", "is_fuel"), on="product_id", how="left")
        .with_columns(
            all=pl.lit("all"),
            sold_on=local,
            units=pl.when(pl.col("is_fuel")).then(0).otherwise(pl.col("quantity")).cast(pl.Float64),
        )
    )


def public_holidays() -> pl.DataFrame:
    """Public holidays of the United States: name, ds."""
    days = pl.read_csv(ROOT / "dbt" / "seeds" / "public_holidays.csv", try_parse_dates=True, null_values="")
    return days.filter(pl.col("country") == "US", pl.col("subdivisions").is_null()).select("name", ds="day")


def _panel(lines: pl.LazyFrame, level: Level) -> Panel:
    key = pl.col(level.key).cast(pl.String)
    sold = lines.group_by(key.alias("key"), "sold_on").agg(revenue=pl.col(level.value).sum())
    sales = sold.drop_nulls("key").collect()
    until = sales["sold_on"].max()
    everything = Rules(level.grain, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)
    panel = split_series(sales, everything, until=until, holidays=public_holidays()).modelled
    before = panel.before(FOLDS * level.horizon).rows
    largest = before.group_by("unique_id").agg(pl.col("y").sum()).sort(["y", "unique_id"], descending=[True, False])
    chosen = panel.only(tuple(largest["unique_id"].head(level.series)))
    return replace(chosen, plan=promotions(lines, level, chosen)) if level.promoted else chosen


def promotions(lines: pl.LazyFrame, level: Level, panel: Panel) -> pl.DataFrame:
    """The plan of mailers and displays: unique_id, ds (weeks), and how many stores have each kind for the products.

    Products of a category weigh by what they sold 17 to 5 weeks before, which is known when four weeks are forecast.
    """
    plan = pl.scan_parquet(data_folder() / "promotions.parquet").unique(["product_id", "store_id", "week"])
    mailer, display = pl.col("mailer_location"), pl.col("display_location")
    kinds = {
        "display": (display != "0").sum(),
        "mailer": (mailer != "0").sum(),
        "prominent": mailer.is_in(["D", "F", "H", "L"]).sum(),
    }
    monday = pl.lit(_WEEK_TWO) + pl.duration(weeks=pl.col("week").cast(pl.Int64) - 2)
    counted = plan.group_by("product_id", ds=monday).agg(**kinds)
    if level.key == "product_id":
        key = pl.col("product_id").cast(pl.String).alias("unique_id")
        return counted.select(key, "ds", *kinds).filter(pl.col("unique_id").is_in(panel.keys)).sort(*_KEY).collect()
    usual = _usual(lines, level).join(counted, on=["product_id", "ds"], how="left")
    weighed = [(pl.col(kind).fill_null(0) * pl.col("usual")).sum() / pl.col("usual").sum() for kind in kinds]
    return usual.group_by(*_KEY).agg(weighed).filter(pl.col("unique_id").is_in(panel.keys)).sort(*_KEY).collect()


def _usual(lines: pl.LazyFrame, level: Level) -> pl.LazyFrame:
    """What each product sold a week on average, 17 to 5 weeks before: unique_id, product_id, ds, usual."""
    key = pl.col(level.key).cast(pl.String).alias("unique_id")
    weekly = lines.group_by(key, "product_id", week=pl.col("sold_on").dt.truncate("1w")).agg(
        usual=pl.col(level.value).sum()
    )
    ahead = pl.int_ranges(5, 18)
    later = (
        weekly.with_columns(ahead=ahead).explode("ahead").with_columns(ds=pl.col("week") + pl.duration(weeks="ahead"))
    )
    return later.group_by("unique_id", "product_id", "ds").agg(pl.col("usual").sum()).drop_nulls("unique_id")
