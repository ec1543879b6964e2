"""The law of incremental builds: after whatever came, changed and went they hold what a full refresh holds."""

import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from mercurios.config import ROOT
from mercurios.errors import TransformFailed
from mercurios.jobs.ingest import RAW_TABLES
from mercurios.jobs.transform import transform
from mercurios.transformation import DbtResult, build_command, run_dbt, target_for
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.changing_till import Shop, morning

DBT = ROOT / "dbt"
MODELS = ("+int_articles_built", "+int_as_of", "+dim_articles", "+dim_customers", "+dim_branches", "+mart_data_quality")
MODELS_AND_SEEDS = ("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
OF_THE_RUN = ("int_batches", "int_changed", "int_touched", "int_replaced", "int_articles_built")


@dataclass(frozen=True)
class Place:
    """A warehouse that is built on, and beside it a copy that is built from scratch."""

    folder: Path

    def open(self) -> DuckDBWarehouse:
        return DuckDBWarehouse.open(f"duckdb:///{self.folder}/w.duckdb")

    def build(self, *more: str, select: tuple[str, ...] = MODELS, file: str = "w") -> DbtResult:
        target = target_for(f"duckdb:///{self.folder}/{file}.duckdb")
        return run_dbt(
            DBT, target, self.folder / f"dbt-{file}", command=(*MODELS_AND_SEEDS, "--select", *select, *more)
        )

    def build_anew(self) -> None:
        shutil.copy(self.folder / "w.duckdb", self.folder / "anew.duckdb")
        self.build("--full-refresh", file="anew")

    def tables(self, file: str = "w") -> Mapping[str, list[str]]:
        """Rows of every table and view that dbt built, but of those that tell what a run did."""
        with duckdb.connect(str(self.folder / f"{file}.duckdb"), read_only=True) as connection:
            found = connection.execute(
                "select table_schema, table_name from information_schema.tables "
                "where table_schema in ('marts', 'intermediate')"
            ).fetchall()
            names = [f'{schema}."{table}"' for schema, table in found if not table.startswith(OF_THE_RUN)]
            return {name: sorted(map(str, connection.execute(f"from {name}").fetchall())) for name in sorted(names)}

    def attributes(self, file: str) -> list[tuple[object, ...]]:
        """What lines are known to carry; of an article that has left, as it was."""
        with duckdb.connect(str(self.folder / f"{file}.duckdb"), read_only=True) as connection:
            return connection.execute("from intermediate.int_articles_built").fetchall()

    def lines(self, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.folder / "w.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests: dbt reads the whole project again for a warehouse of another name."""
    return tmp_path_factory.mktemp("incremental")


@pytest.fixture
def place(folder: Path) -> Place:
    place = Place(folder)
    (folder / "w.duckdb").unlink(missing_ok=True)
    with place.open() as warehouse:
        warehouse.ensure(*RAW_TABLES)
    return place


def assert_as_if_anew(place: Place) -> None:
    place.build_anew()
    built, anew = place.tables(), place.tables("anew")
    assert built.keys() == anew.keys()
    for name, rows in anew.items():
        assert built[name] == rows, name
    assert set(place.attributes("anew")) <= set(place.attributes("w"))


@pytest.mark.parametrize("seed", [1, 2])
def test_incremental_builds_are_a_full_refresh_whatever_came(place: Place, seed: int) -> None:
    shops = [Shop("north", seed * 100), Shop("south", seed * 100 + 1)]
    for number in range(4):
        with place.open() as warehouse:
            for shop in shops:
                shop.read(warehouse, morning(number))
                assert shop.predict(warehouse) > 0
                shop.trade()
                if number == 2:  # as of a moment before what was read last
                    shop.replay(warehouse, morning(0))
        place.build()
        if number:
            assert_as_if_anew(place)
        shops[number % 2].change_masters()
    for mart in ("fct_sale_lines", "mart_forecast_accuracy"):
        assert len(place.lines(f"select distinct tenant_id from marts.{mart}")) == 2


def test_a_tenant_that_is_removed_takes_its_facts_along_and_may_come_back(place: Place) -> None:
    shops = [Shop("north", 5), Shop("south", 6)]
    with place.open() as warehouse:
        for shop in shops:
            shop.read(warehouse, morning(0))
            shop.predict(warehouse)
    place.build()
    with place.open() as warehouse:
        warehouse.forget("north")
    place.build()
    assert place.lines("select distinct tenant_id from marts.fct_sale_lines") == [("south",)]
    assert_as_if_anew(place)
    with place.open() as warehouse:
        Shop("north", 7).read(warehouse, morning(1))
        warehouse.forget("south")
        Shop("south", 8).read(warehouse, morning(0))
    place.build()
    assert_as_if_anew(place)


def test_rows_that_came_without_a_batch_stay_when_the_first_batch_comes(place: Place) -> None:
    shops = [Shop("north", 21), Shop("south", 22)]
    with place.open() as warehouse:
        for shop in shops:
            shop.read(warehouse, morning(0))
        warehouse.run("delete from ops.batches where tenant_id = 'north'")
    place.build()
    shops[0].trade()
    with place.open() as warehouse:
        shops[0].read(warehouse, morning(1))
    place.build()
    assert_as_if_anew(place)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_may_be_killed_between_any_two_models(place: Place, seed: int) -> None:
    chance, shop = random.Random(seed), Shop("north", seed)
    with place.open() as warehouse:
        shop.read(warehouse, morning(0))
    order = [node.name for node in place.build().models]
    for number in (1, 2):
        shop.trade()
        shop.change_masters()
        with place.open() as warehouse:
            shop.read(warehouse, morning(number))
            shop.predict(warehouse)
        place.build(select=tuple(order[: chance.randrange(2, len(order))]))
    place.build()
    assert_as_if_anew(place)


def test_what_is_wrong_in_the_marts_fails_a_night_and_is_mended_from_scratch(place: Place) -> None:
    def night(*, from_scratch: bool = False) -> set[str]:
        target = target_for(f"duckdb:///{place.folder}/w.duckdb")
        report = transform(
            lambda by: run_dbt(DBT, target, place.folder / "dbt-w", command=build_command(DBT, by)),
            place.open,
            from_scratch=from_scratch,
        )
        return {node.name for node in report.nodes}

    shop = Shop("north", 31)
    with place.open() as warehouse:
        shop.read(warehouse, morning(0))
    first = night()
    lines = place.lines("select count(*), sum(gross_amount) from marts.fct_sale_lines")
    with duckdb.connect(str(place.folder / "w.duckdb")) as connection:
        connection.execute("insert into marts.fct_sale_lines from marts.fct_sale_lines limit 1")
    with pytest.raises(TransformFailed, match=r"sales_add_up.*--from-scratch"):
        night()
    with pytest.raises(TransformFailed, match="sales_add_up"):
        night()
    assert night(from_scratch=True) == first
    assert place.lines("select count(*), sum(gross_amount) from marts.fct_sale_lines") == lines


def test_a_run_that_broke_off_is_made_up_for_by_the_next(place: Place) -> None:
    shop = Shop("north", 9)
    with place.open() as warehouse:
        shop.read(warehouse, morning(0))
    place.build()
    for number in (1, 2):
        shop.trade()
        with place.open() as warehouse:
            shop.read(warehouse, morning(number))
        place.build(select=("+fct_sale_lines",))  # and nothing that is made of the lines
    with pytest.raises(AssertionError):
        assert_as_if_anew(place)
    place.build()
    assert_as_if_anew(place)


def test_only_what_changed_is_touched(place: Place) -> None:
    shop = Shop("north", 11)
    with place.open() as warehouse:
        shop.read(warehouse, morning(0))
    place.build()
    place.build()
    assert place.lines("select count(*) from intermediate.int_changed_days") == [(0,)]
    moved = shop.lines["l1"]
    old, moved["date"] = moved["date"], shop.lines["l2"]["date"]
    with place.open() as warehouse:
        shop.read(warehouse, morning(1))
    place.build()
    days = {day for (day,) in place.lines("select sold_on from intermediate.int_changed_days")}
    assert days == {old.date(), moved["date"].date()}  # type: ignore[attr-defined]
    assert place.lines("select count(*) from intermediate.int_changed_lines") == [(1,)]
    shop.names[20] = "RENAMED"
    with place.open() as warehouse:
        shop.read(warehouse, morning(2) + timedelta(hours=1))
    place.build()
    changed = place.lines("select article_number from intermediate.int_changed_articles order by 1")
    assert changed == [(number,) for number, row in sorted(shop.articles.items()) if row["category_number"] == 20]


def test_another_project_builds_from_scratch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mercurios.transformation._digest", lambda project: "one")
    with place.open() as warehouse:
        Shop("north", 12).read(warehouse, morning(0))
    place.build()
    spoil = "update marts.fct_sale_lines set quantity = 77"
    with duckdb.connect(str(place.folder / "w.duckdb")) as connection:
        connection.execute(spoil)
    place.build()
    assert place.lines("select distinct quantity from marts.fct_sale_lines") == [(77.0,)]
    monkeypatch.setattr("mercurios.transformation._digest", lambda project: "another")
    place.build()
    assert_as_if_anew(place)


def test_a_project_is_named_by_its_sql(tmp_path: Path) -> None:
    from mercurios.transformation import _digest

    for name in ("models/a.sql", "models/a.yml", "macros/m.sql"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("select 1")
    before = _digest(tmp_path)
    (tmp_path / "models/a.yml").write_text("# described")
    assert _digest(tmp_path) == before
    (tmp_path / "macros/m.sql").write_text("select 2")
    assert _digest(tmp_path) != before


def test_a_line_that_stayed_where_it_was_moved_from_is_found_by_a_test(place: Place) -> None:
    with place.open() as warehouse:
        Shop("north", 13).read(warehouse, morning(0))
    place.build()
    with duckdb.connect(str(place.folder / "w.duckdb")) as connection:
        line = "select * replace (date '2001-01-01' as sold_on) from marts.fct_sale_lines limit 1"
        connection.execute(f"insert into marts.fct_sale_lines {line}")
    with pytest.raises(TransformFailed, match="sales_add_up"):
        run_dbt(
            DBT,
            target_for(f"duckdb:///{place.folder}/w.duckdb"),
            place.folder / "dbt-w",
            command=("test", "--select", "sales_add_up"),
        )
