"""The Connector SDK connection: Fivetran's own package drives the connector against two merchants of the sandbox."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import polars as pl
import pytest

from mercurios.config import ROOT
from mercurios.errors import ConfigError, MercuriosError
from mercurios.fivetran import sdk, tables
from mercurios.fivetran.bundle import CONNECTOR, bundle, modules
from mercurios.fivetran.configuration import parse
from mercurios.sandbox import Merchant, Profile, RunningSandbox, running
from mercurios.sources.contracts import CONTRACTS
from tests.fivetran_core import IS_REAL, stand_in
from tests.fivetran_double import Destination, Killed, oracle
from tests.tiny import tiny_merchant

stand_in()
SECRET, PERSON = "secret-canary-2718", "Personal-Canary"
SEEDS = {"north": 1, "south": 2}


def _entities(seed: int) -> dict[str, pl.DataFrame]:
    made = tiny_merchant(seed, lines_a_day=1)
    made["customer"] = made["customer"].with_columns(
        lastName=pl.lit(PERSON), webshopUserPassword=pl.lit(PERSON), iban=pl.lit(PERSON)
    )
    return made


@pytest.fixture(scope="module")
def entities() -> dict[str, dict[str, pl.DataFrame]]:
    return {name: _entities(seed) for name, seed in SEEDS.items()}


@pytest.fixture(scope="module")
def sandbox(entities: dict[str, dict[str, pl.DataFrame]]) -> Iterator[RunningSandbox]:
    made = [Merchant(name, f"{name}-key", f"{name}-{SECRET}", rows, Profile()) for name, rows in entities.items()]
    with running(made) as served:
        yield served


def configuration(sandbox: RunningSandbox, name: str, **more: str) -> dict[str, str]:
    return {
        "tenant_id": name,
        "auth_url": sandbox.auth_url,
        "api_key": f"{name}-key",
        "api_secret": f"{name}-{SECRET}",
        "page_size": "300",
        **more,
    }


@pytest.fixture(scope="module")
def package() -> ModuleType:
    """The connection's `connector.py`, loaded as Fivetran loads it."""
    spec = importlib.util.spec_from_file_location("connector", CONNECTOR / "connector.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sink:
    """Where the SDK's operations arrive once it has checked and encoded them; hands them to a destination."""

    def __init__(self, target: Destination) -> None:
        self.target = target

    def record(self, record: Any) -> None:
        row = {name: _cell(value) for name, value in record.data.items()}
        if record.type.name == "DELETE":
            self.target.delete(record.table, row)
        else:
            self.target.upsert(record.table, row)

    def truncate(self, truncate: Any) -> None:
        self.target.truncate(truncate.table)

    def checkpoint(self, checkpoint: Any) -> None:
        self.target.checkpoint(json.loads(checkpoint.state_json))

    def warning(self, warning: Any) -> None:
        self.target.warning(warning.message)


def _cell(encoded: bytes) -> str | None:
    from fivetran_connector_sdk_core.constants import CELL_NULL

    return None if encoded[0] == CELL_NULL else encoded[1:].decode()


def run(package: ModuleType, configuration: dict[str, str], target: Destination) -> None:
    """One sync by the SDK: schema first, then update."""
    from fivetran_connector_sdk_cli import runtime, schema_processing

    schema_processing.reset()
    package.connector.get_schema(configuration)
    runtime.install(Sink(target))
    try:
        package.connector.run_update(configuration, target.state)
    finally:
        runtime.install(None)


def expected(entity: str, frame: pl.DataFrame) -> dict[object, dict[str, object]]:
    """What the SDK sends for an entity's rows: texts, and JSON as what it says."""
    types = tables.columns(CONTRACTS[entity])
    return {
        key: {name: _worded(types[name], value) for name, value in row.items()}
        for key, row in oracle(entity, frame.to_dicts()).items()
    }


def _worded(kind: str, value: object) -> object:
    if value is None or kind == "JSON":
        return value
    if kind == "NAIVE_DATETIME":
        return re.sub(r"\.0+$", "", str(value))
    return {"BOOLEAN": str(value).lower()}.get(kind, str(value))


def _opened(entity: str, name: str, value: str | None) -> object:
    return json.loads(value) if value and name in tables.json_columns(entity) else value


def test_the_sdk_takes_the_schema_with_every_type_and_key(package: ModuleType, sandbox: RunningSandbox) -> None:
    from fivetran_connector_sdk_cli import schema_processing

    schema_processing.reset()
    declared = package.connector.get_schema(configuration(sandbox, "north"))
    assert [table.name for table in declared.tables] == [*CONTRACTS, tables.QUARANTINE]
    sale = {column.name: column for column in declared.tables[list(CONTRACTS).index("sale")].columns}
    assert [name for name, column in sale.items() if column.primary_key] == ["id"]
    kinds = {"id": "STRING", "date": "NAIVE_DATETIME", "sale_price": "DOUBLE", "receipt_number": "LONG",
             "is_deleted": "BOOLEAN", "_variant": "JSON"}  # fmt: skip
    assert {name: sale[name].type.name for name in kinds} == kinds
    assert all(column.type.name != "UNSPECIFIED" for table in declared.tables for column in table.columns)
    order = declared.tables[list(CONTRACTS).index("order")]
    assert {column.name: column.type.name for column in order.columns}["positions"] == "JSON"


@pytest.mark.parametrize("name", SEEDS)
def test_two_merchants_killed_and_resumed_equal_their_tills(
    package: ModuleType, sandbox: RunningSandbox, entities: dict[str, dict[str, pl.DataFrame]], name: str
) -> None:
    target = Destination()
    for kill in (0, 1, 40, 333, 611, 333):
        target.operations, target.kill_after = 0, kill
        with pytest.raises(Killed):
            run(package, configuration(sandbox, name), target)
    target.kill_after = None
    run(package, configuration(sandbox, name), target)
    for entity, frame in entities[name].items():
        wanted = expected(entity, frame)
        held = target.alive(entity)
        assert held.keys() == wanted.keys()
        present = [one.column for one in CONTRACTS[entity].kept if one.name in frame.columns]
        for key, row in wanted.items():
            assert {name: _opened(entity, name, held[key][name]) for name in present} == {n: row[n] for n in present}
    assert tables.QUARANTINE not in target.rows
    assert len(target.states) > len(CONTRACTS)
    everything = json.dumps(target.states) + str(target.rows)
    assert SECRET not in everything
    assert PERSON not in everything
    other = next(iter(SEEDS.keys() - {name}))
    assert not {row["id"] for row in entities[other]["sale"].to_dicts()} & target.alive("sale").keys()


def test_a_second_sync_changes_nothing(package: ModuleType, sandbox: RunningSandbox) -> None:
    target = Destination()
    chosen = configuration(sandbox, "north", entities="branch category size")
    run(package, chosen, target)
    before = {table: dict(rows) for table, rows in target.rows.items()}
    run(package, chosen, target)
    assert target.rows == before


def test_the_setup_form_tests_the_login(package: ModuleType, sandbox: RunningSandbox) -> None:
    form = package.connector.get_configuration_form()
    (test,) = form.tests
    assert {field.name for field in form.fields if field.required} == {"tenant_id", "auth_url", "api_key", "api_secret"}
    assert package.connector.run_test(test.name, configuration(sandbox, "north")).success
    wrong = configuration(sandbox, "north") | {"api_secret": SECRET}
    told = package.connector.run_test(test.name, wrong)
    assert told.failure
    assert SECRET not in told.failure


@pytest.mark.parametrize(
    "wrong",
    [{"api_secret": SECRET}, {"api_key": SECRET}, {"page_size": SECRET}, {"api_secret": ""}, {"time_zone": SECRET}],
)
def test_no_secret_is_told_by_the_sdk(
    package: ModuleType, sandbox: RunningSandbox, capfd: pytest.CaptureFixture[str], wrong: dict[str, str]
) -> None:
    with pytest.raises(RuntimeError) as caught:
        run(package, configuration(sandbox, "north") | wrong, Destination())
    out, err = capfd.readouterr()
    assert SECRET not in str(caught.value) + out + err
    assert isinstance(caught.value.__cause__, MercuriosError)


def test_the_sdks_own_checks_of_the_folder_pass(capsys: pytest.CaptureFixture[str]) -> None:
    from fivetran_connector_sdk_cli import connector_helper
    from fivetran_connector_sdk_common.configuration import check_dict

    settings = json.loads((CONNECTOR / "configuration.json").read_text())
    assert check_dict(settings, True) == settings
    connector_helper.validate_configuration(settings)
    connector_helper.exit_check(str(CONNECTOR))
    requirements = connector_helper.fetch_requirements_as_dict(str(CONNECTOR / "requirements.txt"))
    assert all(re.fullmatch(r"[a-z0-9_-]+==[0-9.]+", line) for line in requirements.values())
    assert not requirements.keys() & {"requests", "fivetran_connector_sdk"}
    assert capsys.readouterr().out == ""


def test_what_the_bundle_imports_is_required() -> None:
    names = {
        name.partition(".")[0]
        for path in modules()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    required = {line.partition("==")[0] for line in (CONNECTOR / "requirements.txt").read_text().split()}
    of = packages_distributions()
    needed = {of[name][0].lower() for name in names - sys.stdlib_module_names - {"mercurios", "pydantic_core"}}
    assert needed == required - {"tzdata"}


def test_the_locked_versions_are_the_deployed_ones() -> None:
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    assert set((CONNECTOR / "requirements.txt").read_text().split()) <= set(locked)


def test_the_bundle_runs_alone_and_needs_what_it_says(tmp_path: Path) -> None:
    files = bundle(tmp_path / "deployed")
    assert {Path("connector.py"), Path("requirements.txt"), Path("configuration.json")} <= set(files)
    assert not [path for path in files if path.parts[:2] in {("mercurios", "warehouse"), ("mercurios", "jobs")}]
    code = (
        "import sys; before = set(sys.modules)\n"
        "import mercurios.fivetran.functions, mercurios.fivetran.sdk\n"
        "assert mercurios.fivetran.sdk.__file__.startswith(sys.path[0])\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'deployed')!r})\n{code}"),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    heavy = {"pandas", "pyarrow", "prefect", "boto3", "botocore", "duckdb", "torch", "structlog"}
    assert not heavy & set(done.stdout.split())
    with pytest.raises(ConfigError, match="not an empty folder"):
        bundle(tmp_path / "deployed")


def test_a_configuration_says_nothing_of_its_secrets(sandbox: RunningSandbox) -> None:
    chosen = parse(configuration(sandbox, "north"))
    assert SECRET not in f"{chosen!r} {chosen.tenant!r} {chosen.tenant.source!r}"
    assert chosen.tenant.source.api_secret.reveal() == f"north-{SECRET}"  # type: ignore[union-attr]


def test_a_truncate_is_deferred_where_the_sdk_can() -> None:
    class Newer(Destination):
        def truncate(self, table: str, *, deferred: bool = False) -> None:
            self.warnings.append(f"{table} {deferred}")

    target = Newer()
    sdk._mark_deleted("sale", target)
    assert target.warnings == ["sale True"]


@pytest.mark.skipif(not IS_REAL, reason="needs the package fivetran-connector-sdk-core: the runner behind the SDK")
def test_the_sdks_runner_writes_the_warehouse(package: ModuleType, sandbox: RunningSandbox, tmp_path: Path) -> None:
    import duckdb
    from fivetran_connector_sdk_cli import core_adapter

    core_adapter.run(package.connector, str(tmp_path), configuration(sandbox, "north", entities="branch"), {})
    with duckdb.connect(str(tmp_path / "files" / "warehouse.db"), read_only=True) as store:
        (schema,) = store.sql(
            "select table_schema from information_schema.tables where table_name = 'branch'"
        ).fetchall()
        assert store.sql(f"select count(*) from {schema[0]}.branch").fetchall() == [(4,)]


def test_the_variant_arrives_as_json() -> None:
    rows = list(sdk._with_json("branch", [{"id": "1", "_variant": '{"b":1}'}, {"id": "2", "_variant": None}]))
    assert [row["_variant"] for row in rows] == [orjson.loads('{"b":1}'), None]
