"""Forecasts that are kept and scored: none is kept twice or changed, and the truth is the forecasting domain's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from mercurios.config import ROOT
from mercurios.errors import ModelError, TransformFailed, WarehouseError
from mercurios.forecasting.scores import bias, coverage, wape
from mercurios.forecasting.series import Grain, Rules, split_series
from mercurios.jobs.builds import recorded
from mercurios.jobs.ingest import RAW_TABLES
from mercurios.jobs.keep_forecasts import KEPT_FORECASTS, keep_forecasts
from mercurios.jobs.retrain import KEPT, Specs
from mercurios.jobs.retrain.levels import SALES
from mercurios.jobs.transform import transform
from mercurios.transformation import DbtResult, run_dbt, target_for
from mercurios.warehouse import Warehouse
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.changing_till import FIRST_DAY, Shop
from tests.snowflake_emulator import Emulator
from tests.till import BOOK, COAT, Row, article, category, fill, sale

LEVELS = Specs.load().forecast.levels
SUNDAY = FIRST_DAY - timedelta(days=1)
BUILD = ("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
SELECT = ("--select", "+mart_forecast_scores", "+int_articles_built", "+int_batches_built")


def kept(*rows: Mapping[str, object]) -> pa.Table:
    """Kept forecasts as a retrain report has them; of each what differs from a champion's 100 for a Monday."""
    usual: dict[str, object] = {"tenant_id": "north", "level": "branch", "key": "1", "ds": FIRST_DAY, "cutoff": SUNDAY}
    usual |= {"role": "champion", "model": "AutoETS", "model_version": "1", "release": "r000001"}
    usual |= {"mean": 100.0, "lo80": 90.0, "hi80": 110.0, "lo95": 80.0, "hi95": 120.0}
    return pa.Table.from_pylist([{**usual, **row} for row in rows], schema=KEPT)


@pytest.fixture(params=["duckdb", "snowflake"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        with DuckDBWarehouse.open("duckdb:///:memory:") as opened:
            yield opened
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    with emulator.open("KEPT") as snowflake:
        yield snowflake
        snowflake.run(f"drop table if exists {KEPT_FORECASTS.name}")


def stored(warehouse: Warehouse, tenant_id: str) -> list[tuple[object, ...]]:
    rows = warehouse.rows(KEPT_FORECASTS, tenant_id).select(["key", "ds", "role", "model_version", "mean"])
    return sorted(tuple(row.values()) for row in rows.to_pylist())


def test_what_is_kept_is_what_a_report_tells() -> None:
    assert set(KEPT.names) == set(KEPT_FORECASTS.columns.names)
    assert {name: KEPT.field(name).type for name in KEPT.names} == {
        field.name: field.type for field in KEPT_FORECASTS.columns
    }


def test_a_repeated_run_keeps_nothing_twice_and_betters_nothing(warehouse: Warehouse) -> None:
    first = kept({}, {"key": "2"}, {"role": "challenger", "model_version": "2"}, {"tenant_id": "south"})
    assert keep_forecasts(warehouse, first) == 4
    before = stored(warehouse, "north")
    assert [row[0] for row in before] == ["1", "1", "2"]
    assert keep_forecasts(warehouse, first) == 0
    assert keep_forecasts(warehouse, kept({"mean": 777.0}, {"model_version": "3"}, {"tenant_id": "south"})) == 1
    assert stored(warehouse, "north") == sorted([*before, ("1", FIRST_DAY, "champion", "3", 100.0)])
    assert len(stored(warehouse, "south")) == 1
    assert warehouse.forget("north")[KEPT_FORECASTS.name] == 4
    assert len(stored(warehouse, "south")) == 1


def test_nothing_to_keep_is_no_error_and_makes_the_table(warehouse: Warehouse) -> None:
    assert keep_forecasts(warehouse, KEPT.empty_table()) == 0
    assert KEPT_FORECASTS.name in warehouse.tables("ops")


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "candidate"},
        {"ds": SUNDAY},
        {"mean": float("nan")},
        {"mean": None},
        {"hi95": float("inf")},
    ],
    ids=str,
)
def test_a_forecast_that_cannot_be_scored_keeps_the_others_out(wrong: Row) -> None:
    with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
        with pytest.raises(ModelError, match=r"1 of 2 forecasts cannot be scored.*nothing is kept"):
            keep_forecasts(warehouse, kept({"key": "2"}, wrong))
        assert keep_forecasts(warehouse, kept({"lo80": None, "hi80": None})) == 1


def test_other_columns_and_a_key_that_comes_twice_are_refused() -> None:
    with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
        with pytest.raises(ModelError, match=r"lack role, hi95; hand in the `kept`"):
            keep_forecasts(warehouse, kept({}).drop_columns(["role", "hi95"]))
        with pytest.raises(WarehouseError, match="expected rows of level"):
            keep_forecasts(warehouse, kept({}).append_column("more", pa.array([1])))
        with pytest.raises(WarehouseError, match=r"a key .*model_version\) comes twice"):
            keep_forecasts(warehouse, kept({}, {"mean": 5.0}))
        assert stored(warehouse, "north") == []


def test_a_build_finds_the_table_also_where_the_warehouse_is_older_than_it(tmp_path: Path) -> None:
    def fail(_built_by: str) -> DbtResult:
        raise TransformFailed("no dbt here")

    def opened() -> DuckDBWarehouse:
        return DuckDBWarehouse.open(f"duckdb:///{tmp_path}/w.duckdb")

    with recorded(opened) as build:
        build.project = "of before"
    with opened() as warehouse:
        assert KEPT_FORECASTS.name not in warehouse.tables("ops")
    with pytest.raises(TransformFailed, match="no dbt here"):
        transform(fail, opened)
    with opened() as warehouse:
        assert KEPT_FORECASTS.name in warehouse.tables("ops")


@dataclass(frozen=True)
class Place:
    """A warehouse that dbt builds."""

    folder: Path

    def open(self) -> DuckDBWarehouse:
        return DuckDBWarehouse.open(f"duckdb:///{self.folder}/w.duckdb")

    def build(self) -> None:
        target = target_for(f"duckdb:///{self.folder}/w.duckdb")
        run_dbt(ROOT / "dbt", target, self.folder / "dbt", command=(*BUILD, *SELECT))

    def frame(self, query: str) -> pl.DataFrame:
        with duckdb.connect(f"{self.folder}/w.duckdb", read_only=True) as connection:
            rows = pl.from_arrow(connection.sql(query).to_arrow_table())
        assert isinstance(rows, pl.DataFrame)
        return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all builds: dbt reads the whole project again for a warehouse of another name."""
    return tmp_path_factory.mktemp("accuracy")


@pytest.fixture
def place(folder: Path) -> Place:
    (folder / "w.duckdb").unlink(missing_ok=True)
    return Place(folder)


@dataclass(frozen=True)
class Merchant:
    """Made up by a seed: some weeks of sales with closed days, read some days after the last of them."""

    seed: int

    @property
    def name(self) -> str:
        return f"m{self.seed}"

    def sales(self) -> list[Row]:
        chance = Random(self.seed)
        first = date(2025, 11, 5) + timedelta(days=self.seed)
        days = [first + timedelta(days=day) for day in range(33 + chance.randrange(7))]
        shut = chance.sample(days, 6) + [day for day in days if day.isocalendar().week == 48 and self.seed % 2]
        goods = [(day, 1 + n % 3, COAT if n % 2 else BOOK) for day in days if day not in shut for n in range(3)]
        lines = [one for one in goods if chance.random() < 0.5]
        read = datetime.combine(lines[-1][0] + timedelta(days=self.seed % 10), datetime.min.time()) + timedelta(hours=6)
        more = {"_extracted_at": read}
        return [
            sale(f"s{n}", day, n, (what, 1, round(chance.uniform(-5, 90), 2)), branch_number=branch, **more)
            for n, (day, branch, what) in enumerate(lines, 1)
        ]

    def tables(self) -> Mapping[str, list[Row]]:
        return {
            "tenants": [{"name": self.name, "currency": "EUR", "time_zone": "UTC", "locale": "de", "calendar": "DE"}],
            "tenant_vat_rates": [{"tax_number": 1, "rate": 0.19}],
            "prohandel_category": [category(11, "COATS", 11, 1), category(20, "BOOKS", 20, 1)],
            "prohandel_article": [article(COAT, 11, "Parka"), article(BOOK, 20, "")],
            "prohandel_sale": self.sales(),
        }

    def truth(self, place: Place, level: str) -> pl.DataFrame:
        """The series of a level as the domain makes them: every period, and whether it is over, open and known."""
        query = SALES[level].replace("group by", f"where tenant_id = '{self.name}' group by")
        sales, grain = place.frame(query), LEVELS[level].grain
        until = max(str(row["_extracted_at"]) for row in self.sales())
        rules = Rules(grain, min_periods_sold=1, active_periods=10_000, tail_periods=10_000)
        split = split_series(sales, rules, until=date.fromisoformat(until[:10]) - timedelta(days=1))
        return split.modelled.rows.rename({"unique_id": "key"})

    def forecasts(self, level: str) -> Iterator[Row]:
        """One forecast for every key and period from the first whole week on, some of which are not over."""
        grain, lines = LEVELS[level].grain, self.sales()
        first, last = (pick(str(row["date"])[:10] for row in lines) for pick in (min, max))
        monday = date.fromisoformat(first) + timedelta(days=-date.fromisoformat(first).weekday() % 7)
        goods = ("COATS", "BOOKS")
        branches = ("1", "2", "3")
        both = tuple(f"{branch}/{department}" for branch in branches for department in goods)
        types = ("Parka", "(unknown)")
        several = {"total": ("total",), "branch": branches, "branch_department": both, "product_type": types}
        keys = several.get(level, goods)
        periods = (date.fromisoformat(last) - monday).days // grain.days + 3
        for ds in (monday + timedelta(days=n * grain.days) for n in range(periods)):
            for key in keys:
                ahead = 1 + ds.toordinal() % 2 * grain.days
                row: Row = {"tenant_id": self.name, "level": level, "key": key, "ds": ds}
                mean = float(ds.toordinal() * 7 % 90)
                bounds = {"lo80": mean - 20, "hi80": mean + 20, "lo95": mean - 45, "hi95": mean + 45}
                yield {**row, "cutoff": ds - timedelta(days=ahead), "mean": mean, **bounds}


def test_the_truth_and_the_scores_are_those_of_the_forecasting_domain(place: Place) -> None:
    """Ten merchants who were read 0 to 9 days after their last sale; half of them were shut for a whole week."""
    merchants = [Merchant(seed) for seed in range(10)]
    with place.open() as warehouse:
        fill(warehouse, {merchant.name: merchant.tables() for merchant in merchants})
        rows = [row for merchant in merchants for level in LEVELS for row in merchant.forecasts(level)]
        assert keep_forecasts(warehouse, kept(*rows)) == len(rows)
    place.build()
    scored = place.frame("from marts.mart_forecast_accuracy").with_columns(pl.col("y").cast(pl.Float64))
    unscored = 0
    for merchant in merchants:
        for level in SALES:
            known = merchant.truth(place, level)
            begun = known.group_by("key").agg(begun=pl.col("ds").min())
            asked = pl.DataFrame(list(merchant.forecasts(level))).select("key", "ds").join(begun, on="key")
            asked = asked.filter(pl.col("ds") >= pl.col("begun"))  # before its first sale a key has no series
            expected = asked.join(known.filter("is_open"), on=["key", "ds"]).select("key", "ds", "y").sort("key", "ds")
            of_level = scored.filter(pl.col("tenant_id") == merchant.name, pl.col("level") == level)
            found = of_level.join(asked, on=["key", "ds"]).select("key", "ds", "y").sort("key", "ds")
            assert found.rows() == expected.rows(), (merchant.name, level)
            assert expected.height
            unscored += asked.height - expected.height
    assert unscored > 100, "closed periods and those that are not over"
    assert 0.0 in set(scored["y"]), "open, and nothing sold"
    assert_scores_are_the_domains(scored, place.frame("from marts.mart_forecast_scores"))


def assert_scores_are_the_domains(scored: pl.DataFrame, told: pl.DataFrame) -> None:
    by = ["tenant_id", "level", "role", "model_version", "horizon"]
    groups = scored.partition_by(by, as_dict=True)
    assert told.height == len(groups) > 20
    for row in told.to_dicts():
        own = groups[tuple(row[name] for name in by)]
        y, mean = own["y"], own["mean"]
        assert row["n"] == own.height
        assert (row["wape"], row["bias"]) == pytest.approx((wape(y, mean), bias(y, mean)))
        assert row["coverage80"] == pytest.approx(coverage(y, own["lo80"], own["hi80"]))
        assert row["coverage95"] == pytest.approx(coverage(y, own["lo95"], own["hi95"]))


MONDAY, TUESDAY, WEDNESDAY, FRIDAY = (FIRST_DAY + timedelta(days=day) for day in (0, 1, 2, 4))
WEEK: list[Row] = [{"ds": FIRST_DAY + timedelta(days=day)} for day in range(8)]
OF_A_WEEK: Row = {"level": "category", "key": "COATS"}


def shop(tenant_id: str, *lines: tuple[str, date, int, float]) -> Shop:
    """A shop with the coats it sold: id, day, branch, gross amount."""
    one = Shop(tenant_id, 1, names={10: "COATS", 11: "C11", 20: "C20"})
    one.articles[100]["category_number"] = 10
    kinds = next(iter(one.lines.values()))
    one.lines = {key: _line(kinds, key, on, branch, amount) for key, on, branch, amount in lines}
    return one


def _line(kinds: Row, key: str, on: date, branch: int, amount: float) -> dict[str, object]:
    own = {"id": key, "date": datetime.combine(on, datetime.min.time()), "branch_number": branch, "sale_price": amount}
    return {**kinds, **own, "article_number": 100, "quantity": 1, "type": 0}


def retrain_and_keep(place: Place, *rows: Row) -> int:
    """As the flow does: one task a tenant, which may be run again."""
    with place.open() as warehouse:
        return keep_forecasts(warehouse, kept(*rows))


def read(place: Place, day: int, *shops: Shop) -> None:
    with place.open() as warehouse:
        warehouse.ensure(*RAW_TABLES)
        for one in shops:
            one.read(warehouse, datetime(2025, 10, day, 6, tzinfo=UTC))


def scored(place: Place) -> Sequence[tuple[object, ...]]:
    """Tenant, key, day of October, y and role of all that is scored."""
    rows = place.frame(
        "select tenant_id, key, cast(day(ds) as bigint), y, role from marts.mart_forecast_accuracy order by all"
    )
    return rows.rows()


def test_truth_that_comes_late_changes_what_is_scored(place: Place) -> None:
    north = shop("north", ("n1", MONDAY, 1, 100.0), ("n2", TUESDAY, 2, 10.0), ("n3", FRIDAY, 1, 40.0))
    south = shop("south", ("s1", WEDNESDAY, 1, 7.0))
    read(place, 25, north, south)
    forecasts: list[Row] = [*WEEK, OF_A_WEEK, *({"tenant_id": "south", **day} for day in WEEK)]
    assert retrain_and_keep(place, *forecasts) == 17
    place.build()
    assert scored(place) == [
        ("north", "1", 20, Decimal("100.00"), "champion"),
        ("north", "1", 21, Decimal("0.00"), "champion"),
        ("north", "1", 24, Decimal("40.00"), "champion"),
        ("south", "1", 22, Decimal("7.00"), "champion"),
    ]

    # Late on Tuesday, and Wednesday was open after all; the week is over, though nothing of its end has come.
    north.lines |= shop("", ("n4", TUESDAY, 1, 5.5), ("n5", WEDNESDAY, 2, 3.0)).lines
    read(place, 27, north, south)
    assert retrain_and_keep(place, *forecasts) == 0
    place.build()
    of_north = [
        ("north", "1", 20, Decimal("100.00"), "champion"),
        ("north", "1", 21, Decimal("5.50"), "champion"),
        ("north", "1", 22, Decimal("0.00"), "champion"),
        ("north", "1", 24, Decimal("40.00"), "champion"),
        ("north", "COATS", 20, Decimal("158.50"), "champion"),
    ]
    of_south = [("south", "1", 22, Decimal("7.00"), "champion")]
    assert scored(place) == [*of_north, *of_south]

    # Friday was never sold; a forecast is kept that nobody had when its day came; no other sale has changed.
    del north.lines["n3"]
    read(place, 28, north, south)
    late = {"tenant_id": "south", **WEEK[2], "role": "challenger", "model_version": "2"}
    assert retrain_and_keep(place, late) == 1
    place.build()
    of_north = [*of_north[:3], ("north", "COATS", 20, Decimal("118.50"), "champion")]
    of_south = [("south", "1", 22, Decimal("7.00"), "challenger"), *of_south]
    assert scored(place) == [*of_north, *of_south]


def test_the_levels_of_dbt_are_those_that_are_forecast() -> None:
    assert {level: LEVELS[level].grain for level in SALES} == {
        "total": Grain.DAY,
        "department": Grain.DAY,
        "branch": Grain.DAY,
        "branch_department": Grain.DAY,
        "category": Grain.WEEK,
        "product_type": Grain.WEEK,
    }, "another level: add it to dbt/macros/forecasts.sql, to the accepted values of its source, and here"
