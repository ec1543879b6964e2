"""`mercurios tenant …`: clear lines, no secrets, exit code 1 for what is wrong."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mercurios import wiring
from mercurios.__main__ import app
from mercurios.config import ROOT, child_environment
from mercurios.errors import ConfigError, SourceError, UnknownTenant
from mercurios.jobs.ingest.tables import ENTITY_TABLES, INGEST_TABLES, TENANTS
from mercurios.tenancy.directory import TEMPLATE
from mercurios.transformation import run_dbt, target_for
from mercurios.warehouse import Batch
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.till import fill

PROHANDEL = """
id: north
name: Nörd GmbH
currency: EUR
time_zone: Europe/Berlin
vat_rates: {1: 0.19, 2: 0.07}
source:
  auth_url: https://auth.example.com
  api_key: env:NORTH_KEY
  api_secret: file:north.secret
  filters: {day_from: dateFrom}
"""
FILES = """
id: south
name: South
currency: CHF
time_zone: Europe/Zurich
vat_rates: {}
source: {kind: files, url: drops}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tenant files; home is beside it."""
    monkeypatch.setenv("MERCURIOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NORTH_KEY", "hunter2")
    folder = tmp_path / "shop"
    (folder / "drops").mkdir(parents=True)
    (folder / "north.yaml").write_text(PROHANDEL)
    (folder / "south.yaml").write_text(FILES)
    return folder


def run(*arguments: object, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["tenant", *map(str, arguments)], input=answer)


def told(*arguments: object, answer: str = "") -> str:
    """What a command prints; it succeeds."""
    done = run(*arguments, answer=answer)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "hunter2" not in done.output
    return done.output


def test_the_template_can_be_added_as_it_is(shop: Path) -> None:
    template = told("add", "--template")
    assert template == TEMPLATE.read_text(encoding="utf-8")
    (shop / "mine.yaml").write_text(template)
    assert "myshop is added as " in told("add", shop / "mine.yaml")
    assert not (shop.parent / "home" / "tenants" / "mine.yaml").exists()


def test_tenants_are_added_listed_shown_and_removed(shop: Path) -> None:
    assert told("list").startswith("no tenants in ")
    assert json.loads(told("list", "--json")) == []
    assert "next: mercurios tenant onboard north" in told("add", shop / "north.yaml")
    told("add", shop / "south.yaml")
    lines = told("list").splitlines()
    assert [line.split() for line in lines] == [
        ["north", "EUR", "prohandel", "Nörd", "GmbH"],
        ["south", "CHF", "files", "South"],
    ]
    assert json.loads(told("list", "--json"))[1] == {
        "id": "south",
        "name": "South",
        "currency": "CHF",
        "source": "files",
        "problem": None,
    }
    assert (shop / "drops").as_uri() in told("show", "south")
    assert "is removed" in told("remove", "south", "--yes")
    assert [line.split()[0] for line in told("list").splitlines()] == ["north"]


def test_show_tells_whether_secrets_are_there_and_nothing_of_them(shop: Path) -> None:
    told("add", shop / "north.yaml")
    shown = dict(line.split(maxsplit=1) for line in told("show", "north").splitlines())
    assert shown["source.api_key"] == "env:NORTH_KEY (there)"
    assert shown["source.api_secret"] == f"file:{shop}/north.secret (nothing there)"
    assert shown["source.filters.day_from"] == "dateFrom"
    assert shown["vat_rates"] == "1: 0.19, 2: 0.07"
    assert "source.calls_per_run" not in shown


def test_a_file_that_is_wrong_is_not_added_and_all_is_told(shop: Path) -> None:
    (shop / "bad.yaml").write_text(PROHANDEL.replace("EUR", "euro").replace("env:NORTH_KEY", "hunter2"))
    done = run("add", shop / "bad.yaml")
    assert isinstance(done.exception, ConfigError)
    assert "currency: " in str(done.exception)
    assert "source.api_key: " in str(done.exception)
    assert "hunter2" not in str(done.exception)
    assert told("list").startswith("no tenants")


def test_a_tenant_is_replaced_only_when_that_is_said(shop: Path) -> None:
    told("add", shop / "north.yaml")
    (shop / "north.yaml").write_text(PROHANDEL.replace("Nörd", "Other"))
    assert isinstance(run("add", shop / "north.yaml").exception, ConfigError)
    assert "Nörd" in told("list")
    told("add", shop / "north.yaml", "--replace")
    assert "Other" in told("list")


def test_check_connects_before_anything_is_added(shop: Path) -> None:
    done = run("add", "--check", shop / "south.yaml")
    assert isinstance(done.exception, SourceError)
    assert "no file of an entity" in str(done.exception)
    assert told("list").startswith("no tenants")
    (shop / "drops" / "sale.csv").write_text("id;date\n")
    (shop / "drops" / "stock.csv").write_text("id;date\n")
    lines = told("add", "--check", shop / "south.yaml").splitlines()
    first, second, *_ = (line for line in lines if "[info" not in line)  # log lines go elsewhere but in tests
    assert first == "files of sale (1)"
    assert second.startswith("not read: stock.csv: a file's name has to begin with its entity's")


def test_a_secret_that_is_not_there_is_told_with_its_tenant(shop: Path) -> None:
    (shop / "north.yaml").write_text(PROHANDEL.replace("env:NORTH_KEY", "env:NORTH_NOWHERE"))
    assert "tenant north: no secret at env:NORTH_NOWHERE" in str(run("add", "--check", shop / "north.yaml").exception)


def test_a_tenant_that_became_wrong_is_listed_with_its_problem_and_can_be_removed(shop: Path) -> None:
    told("add", shop / "north.yaml")
    told("add", shop / "south.yaml")
    (shop.parent / "home" / "tenants" / "north.yaml").write_text("id: [")
    north, south = json.loads(told("list", "--json"))
    assert "no YAML" in north["problem"]
    assert south["problem"] is None
    told("remove", "north", "--yes")


def test_nothing_is_removed_without_a_yes(shop: Path) -> None:
    told("add", shop / "north.yaml")
    done = run("remove", "north", answer="n\n")
    assert done.exit_code == 1
    assert "Remove north: its file?" in done.output
    assert "north" in told("list")
    told("remove", "north", answer="y\n")
    assert isinstance(run("remove", "north", "--yes").exception, UnknownTenant)


def test_purge_deletes_what_the_warehouse_and_the_spool_have_of_one_tenant(shop: Path) -> None:
    table = ENTITY_TABLES["branch"]
    with wiring.open_warehouse() as warehouse:
        warehouse.ensure(*INGEST_TABLES)
        for name in ("north", "south"):
            told("add", shop / f"{name}.yaml")
            (wiring.spool_folder() / name / "sale").mkdir(parents=True)
            facts = {"name": [name], "currency": ["EUR"], "time_zone": ["UTC"], "locale": ["de"], "calendar": ["DE"]}
            warehouse.replace(TENANTS, name, pa.table(facts))
            moment = datetime(2025, 1, 1, tzinfo=UTC)
            with warehouse.load(Batch(name, f"b-{name}", "branch", table, moment)) as load:
                columns = [field for field in table.columns if not field.name.startswith("_")]
                names = [field.name for field in columns if field.name != "tenant_id"] + ["_variant"]
                row = dict.fromkeys(names) | {"id": "b1", "number": 1, "last_change": moment, "is_deleted": False}
                schema = pa.schema([table.columns.field(each) for each in names])
                load.stage([pa.Table.from_pylist([row | {"last_change": moment.replace(tzinfo=None)}], schema=schema)])
                load.commit(1, moment)
    output = told("remove", "north", "--yes", "--purge")
    assert "raw.prohandel_branch" in output
    assert "1 rows deleted" in output
    assert " 0 rows deleted" not in output
    assert "until the next `mercurios transform`" in output
    assert "releases of the lake" in output
    with wiring.open_warehouse() as warehouse:
        left = {name: warehouse.count(table.name, name) for name in ("north", "south")}
        assert left == {"north": 0, "south": 1}
        assert warehouse.count("raw.tenants", "north") == 0
    assert [path.name for path in wiring.spool_folder().iterdir()] == ["south"]


def test_after_a_purge_the_next_transform_takes_the_rows_out_of_the_marts(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/warehouse.duckdb"
    with DuckDBWarehouse.open(url) as warehouse:
        fill(warehouse)
    seen = []
    for purged in ("nobody", "north", "south"):
        with DuckDBWarehouse.open(url) as warehouse:
            warehouse.forget(purged)
        run_dbt(ROOT / "dbt", target_for(url), tmp_path / "dbt")
        with DuckDBWarehouse.open(url) as warehouse:
            marts = [warehouse.table(name) for name in warehouse.tables("marts")]
        assert len(marts) > 5
        owned = [mart["tenant_id"].to_pylist() for mart in marts if "tenant_id" in mart.column_names]
        seen.append({name for names in owned for name in names})
    assert seen == [{"north", "south"}, {"south"}, set()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add",), "name a tenant file; `mercurios tenant add --template`"),
        (("add", "nowhere.yaml"), "nowhere.yaml"),
        (("show", "nobody"), "no tenant 'nobody'; known: none yet"),
        (("remove", "../nobody", "--yes"), "no tenant '../nobody'"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(shop: Path, arguments: tuple[str, ...], message: str) -> None:
    command = (sys.executable, "-m", "mercurios", "tenant", *arguments)
    done = subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
