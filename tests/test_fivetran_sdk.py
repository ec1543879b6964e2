"""The Connector SDK connection: Fivetran's own package drives the connector against two merchants of the sandbox."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import polars as pl
import pytest
from fivetran_connector_sdk_cli import connector_helper, core_adapter, schema_processing
from fivetran_connector_sdk_cli.memory_tracker import DebugMemoryTracker
from fivetran_connector_sdk_common.configuration import check_dict
from fivetran_connector_sdk_core.renaming import Renaming

from mercurios.config import ROOT
from mercurios.errors import ConfigError, MercuriosError
from mercurios.fivetran import sdk, tables
from mercurios.fivetran.bundle import CONNECTOR, bundle, main, modules
from mercurios.fivetran.configuration import parse
from mercurios.fivetran.reading import Reading
from mercurios.fivetran.state import State
from mercurios.sandbox import Merchant, Profile, RunningSandbox, running
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.conversion import VARIANT
from mercurios.tenancy import Filters, ProHandelSource
from tests.fivetran_double import Destination, Killed, Listing, made, oracle
from tests.fivetran_tester import Connection, debug, only_loopback, quiet_home
from tests.tiny import tiny_merchant

SECRET, PERSON = "secret-canary-2718", "Personal-Canary"
SEEDS = {"north": 1, "south": 2}
ROWS = 60
"""Records of an entity at most: each costs the package some milliseconds."""


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package keeps settings at home, and asks PyPI for its newest version now and then; nobody else is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DebugMemoryTracker, "start", lambda _: None)  # a thread that lives on, and prints in the end
        patch.setenv("HOME", str(quiet_home(tmp_path_factory.mktemp("home"))))
        attempts = only_loopback(patch)
        yield
    assert attempts == []


def _entities(seed: int) -> dict[str, pl.DataFrame]:
    made = tiny_merchant(seed, lines_a_day=1)
    made["customer"] = made["customer"].with_columns(
        lastName=pl.lit(PERSON), webshopUserPassword=pl.lit(PERSON), iban=pl.lit(PERSON)
    )
    return {entity: rows.head(ROWS) for entity, rows in made.items()}


@pytest.fixture(scope="module")
def entities() -> dict[str, dict[str, pl.DataFrame]]:
    return {name: _entities(seed) for name, seed in SEEDS.items()}


@pytest.fixture(scope="module")
def sandbox(entities: dict[str, dict[str, pl.DataFrame]]) -> Iterator[RunningSandbox]:
    all_entities = {**entities, "changing": {"sale": entities["north"]["sale"]}}
    made = [Merchant(name, f"{name}-key", f"{name}-{SECRET}", rows, Profile()) for name, rows in all_entities.items()]
    with running(made) as served:
        yield served


def configuration(sandbox: RunningSandbox, name: str, **more: str) -> dict[str, str]:
    return {
        "tenant_id": name,
        "auth_url": sandbox.auth_url,
        "api_key": f"{name}-key",
        "api_secret": f"{name}-{SECRET}",
        "page_size": "25",
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


def connection(folder: Path) -> Connection:
    return Connection(folder, sdk.schema, sdk.update)


def assert_holds(one: Connection, entity: str, rows: list[dict[str, Any]]) -> None:
    """That the living rows of a table are the sound ones of a listing, column by column."""
    wanted, types = oracle(entity, rows), tables.columns(CONTRACTS[entity])
    names = [name for name in types if name != VARIANT]
    held = {key: row for key, (is_deleted, *row) in one.rows(entity, names).items() if not is_deleted}
    assert held.keys() == wanted.keys()
    for key, row in wanted.items():
        assert {name: _plain(types[name], cell) for name, cell in zip(names, held[key], strict=True)} == row


def _plain(kind: str, cell: Any) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="microseconds")
    return json.loads(cell) if kind == "JSON" and cell is not None else cell


def test_the_sdk_takes_the_schema_with_every_type_and_key(package: ModuleType, sandbox: RunningSandbox) -> None:
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


@pytest.mark.parametrize("first", range(0, len(CONTRACTS), 4))
def test_every_entity_of_a_merchant_arrives_and_nothing_personal(
    sandbox: RunningSandbox, tmp_path: Path, first: int
) -> None:
    """Some at a time: with each checkpoint the package looks at every table there is."""
    entities = tuple(CONTRACTS)[first : first + 4]
    one = connection(tmp_path)
    one.sync(configuration(sandbox, "south", page_size="1000", entities=", ".join(entities)))
    for entity in entities:
        if entity != "factor":  # of files alone
            assert_holds(one, entity, sandbox.current("south", entity).to_dicts())
    held = one.tables()
    assert held.keys() == {*entities, tables.QUARANTINE}
    assert held[tables.QUARANTINE] == []
    written = b"".join(path.read_bytes() for path in (tmp_path / "files").iterdir())
    assert SECRET.encode() not in written
    assert PERSON.encode() not in written


@pytest.mark.parametrize("name", SEEDS)
def test_killed_and_resumed_the_warehouse_equals_the_till_and_a_second_sync_changes_nothing(
    sandbox: RunningSandbox, entities: dict[str, dict[str, pl.DataFrame]], tmp_path: Path, name: str
) -> None:
    one, chosen = connection(tmp_path), configuration(sandbox, name, entities="branch order sale")
    for kill in (0, 8, 45, 30):
        with pytest.raises(Killed):
            one.sync(chosen, kill)
    counts = one.sync(chosen)
    assert 0 < counts["Upserts"] < entities[name]["sale"].height
    for entity in ("branch", "order", "sale"):
        assert_holds(one, entity, sandbox.current(name, entity).to_dicts())
    other = next(iter(SEEDS.keys() - {name}))
    assert not set(entities[other]["sale"]["id"]) & one.rows("sale", []).keys()
    before = one.tables()
    assert one.sync(chosen)["Deletes"] == 0
    assert one.tables() == before


def test_what_vanishes_is_flagged_and_what_breaks_stays_as_it_was(sandbox: RunningSandbox, tmp_path: Path) -> None:
    one, chosen = connection(tmp_path), configuration(sandbox, "changing", entities="sale")
    one.sync(chosen)
    first = sandbox.current("changing", "sale").to_dicts()
    vanished, flagged, broken = (tuple(row["id"] for row in first[place : place + 3]) for place in (0, 5, 40))
    sandbox.delete("changing", "sale", vanished)
    sandbox.mark_deleted("changing", "sale", flagged)
    sandbox.update("changing", "sale", broken, {"date": None, "quantity": 77.0})
    with pytest.raises(Killed):
        one.sync(chosen, 50)
    one.sync(chosen)
    assert_holds(one, "sale", [row for row in first if row["id"] not in vanished + flagged])
    assert {row for row, (is_deleted,) in one.rows("sale", []).items() if is_deleted} == {*vanished, *flagged}
    quarantine = one.rows(tables.QUARANTINE, ["entity", "record", "reasons"], "record_id")
    assert quarantine.keys() == set(broken)
    assert {entity for _, entity, _, _ in quarantine.values()} == {"sale"}
    assert all(json.loads(record)["quantity"] == 77 and json.loads(why) for _, _, record, why in quarantine.values())
    assert open_records(one) == set(broken)

    sandbox.update("changing", "sale", broken[1:], {"date": first[0]["date"]})
    one.sync(chosen)
    held = one.rows("sale", ["quantity"])
    assert [held[key] for key in broken] == [(False, first[40]["quantity"]), (False, 77.0), (False, 77.0)]
    assert one.rows(tables.QUARANTINE, [], "record_id").keys() == set(broken)
    assert open_records(one) == {broken[0]}


def test_odd_values_arrive_as_they_are(tmp_path: Path) -> None:
    odd = ["", " ", 'a\r\n"b",\\', "{}", "null", "007", "true", "Ünï 🛒", "2025-01-01T00:00:00Z", "1e400"]
    rows: list[Any] = [made("branch", number, name1=text) for number, text in enumerate(odd)]
    rows.append(made("branch", 90, changed="1900-01-01T00:00:00"))
    rows.append(made("branch", 91, changed="9999-12-31T23:59:59.99999"))
    sale = [
        made("sale", 0, salePrice=5e-324, odd={"ü": [1, None, "x"]}),
        made("sale", 1, salePrice=-1.7e308, odd=2**60),
        made("sale", 2, salePrice=0.1 + 0.2),
    ]
    broken = [
        made("branch", 95) | {"number": "\ud800\x00"},
        "no record",
        made("branch", 96) | {"id": ""},
    ]
    source = Listing({"branch": [*rows, *broken], "sale": list(sale)})

    def update(_: object, state: dict[str, Any], operations: sdk.Operations) -> None:
        reading = Reading(source, ("branch", "sale"), datetime.now, "1", can_keep=True)
        sdk.deliver(reading.steps(State.parse(state)), operations)

    one = Connection(tmp_path, lambda _: tables.schema(("branch", "sale")), update)
    for _ in range(2):
        one.sync({})
        assert_holds(one, "branch", rows)
        assert_holds(one, "sale", [{**sale[0], "salePrice": 0.0}, *sale[1:]])  # the smallest numbers are none there
        found = one.query("select record_id from mercurios_quarantine order by all nulls last")
        assert found == [("branch-00095",), (None,), (None,)]
    variants = [row[1] for _, row in sorted(one.rows("sale", [VARIANT]).items())]
    assert [text and json.loads(text) for text in variants] == [{"odd": {"ü": [1, None, "x"]}}, {"odd": 2**60}, None]


def open_records(one: Connection) -> set[object]:
    """Quarantined records that are still broken, as the documentation tells them apart."""
    (sql,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "fivetran.md").read_text(), re.DOTALL)
    return {record_id for (record_id,) in one.query(sql)}


def test_names_stay_apart_under_fivetrans_renaming() -> None:
    naming = Renaming(True)
    for table, columns in ((one["table"], one["columns"]) for one in tables.schema(CONTRACTS)):
        names = [naming.column(name) for name in columns]
        assert naming.table(table) == table
        assert len(set(names)) == len(names)
        assert not {"_fivetran_id", "_fivetran_deleted", "_fivetran_synced"} & set(names)


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
    package: ModuleType,
    sandbox: RunningSandbox,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    wrong: dict[str, str],
) -> None:
    with pytest.raises(RuntimeError) as caught:
        core_adapter.run(package.connector, str(tmp_path), configuration(sandbox, "north") | wrong, {})
    out, err = capfd.readouterr()
    assert SECRET not in str(caught.value) + out + err
    assert isinstance(caught.value.__cause__, MercuriosError)


def test_the_sdks_own_checks_of_the_folder_pass(capsys: pytest.CaptureFixture[str]) -> None:
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
    with pytest.raises(SystemExit, match="not an empty folder"):
        main([str(tmp_path / "deployed")])


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["a", "b"], 2), (["--nope"], 2), (["--help"], 0)])
def test_a_bundle_goes_into_one_folder_and_nothing_else_is_made(
    arguments: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == code
    assert "usage: python -m mercurios.fivetran.bundle" in "".join(capsys.readouterr())
    assert not list(tmp_path.iterdir())


def test_the_bundle_tells_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path / "deployed")])
    made = len([path for path in (tmp_path / "deployed").rglob("*") if path.is_file()])
    said = capsys.readouterr().out
    assert f"deployed holds {made} files: configuration.json, connector.py, requirements.txt" in said


def test_a_configuration_says_nothing_of_its_secrets(sandbox: RunningSandbox) -> None:
    chosen = parse(configuration(sandbox, "north"))
    assert SECRET not in f"{chosen!r} {chosen.tenant!r} {chosen.tenant.source!r}"
    assert chosen.tenant.source.api_secret.reveal() == f"north-{SECRET}"  # type: ignore[union-attr]


@pytest.mark.parametrize("auth_url", ["https://h/?q=1", "https://h#f", "http://h", "https://u@h", "https://h:x"])
def test_a_host_is_judged_as_in_a_tenant_file(sandbox: RunningSandbox, auth_url: str) -> None:
    with pytest.raises(ConfigError, match=r"^auth_url: "):
        parse(configuration(sandbox, "north", auth_url=auth_url))


@pytest.mark.parametrize(
    ("setting", "text", "message"),
    [
        ("page_size", "10001", "page_size: expected less than or equal to 10000"),
        ("page_size", "0", "page_size: expected greater than or equal to 1"),
        ("calls_per_minute", "1.5", "calls_per_minute: expected a valid integer"),
        ("day_from_parameter", "a b", "day_from_parameter: expected the name of a query parameter"),
        ("response_bytes", "6000001", "response_bytes: expected a whole number from 1 to 6,000,000"),
    ],
)
def test_a_wrong_setting_is_named(sandbox: RunningSandbox, setting: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(configuration(sandbox, "north", **{setting: text}))
    assert str(caught.value) == message


def test_settings_arrive_as_those_of_a_tenant_file_do(sandbox: RunningSandbox) -> None:
    more = {"calls_per_minute": "90", "changed_from_parameter": "from", "auth_url": "https://h/", "time_zone": ""}
    tenant = parse(configuration(sandbox, "north", **more)).tenant
    assert isinstance(tenant.source, ProHandelSource)
    assert (tenant.id, tenant.time_zone, tenant.source.auth_url) == ("north", "Europe/Berlin", "https://h")
    assert (tenant.source.page_size, tenant.source.calls_per_minute) == (25, 90)
    assert tenant.source.filters == Filters(changed_from="from")


def test_a_truncate_is_deferred_where_the_sdk_can() -> None:
    class Newer(Destination):
        def truncate(self, table: str, *, deferred: bool = False) -> None:
            self.warnings.append(f"{table} {deferred}")

    target = Newer()
    sdk._mark_deleted("sale", target)
    assert target.warnings == ["sale True"]


def test_fivetran_debug_runs_the_bundle_and_asks_nobody(sandbox: RunningSandbox, tmp_path: Path) -> None:
    bundle(tmp_path / "deployed")
    settings = configuration(sandbox, "north", entities="branch")
    (tmp_path / "deployed" / "configuration.json").write_text(json.dumps(settings))
    done, attempts = debug(tmp_path / "deployed", tmp_path / "bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert attempts == ""
    assert "SYNC SUCCEEDED" in done.stdout
    (missing,) = re.findall(r"Include the following.*\n(.*)\n", done.stdout)
    assert {line.partition("==")[0] for line in missing.split()} == {
        "botocore",
        "prefect",
        "prefect_aws",
        "pydantic_core",
    }
    assert SECRET not in done.stdout + done.stderr
    assert_holds(connection(tmp_path / "deployed"), "branch", sandbox.current("north", "branch").to_dicts())


def test_the_variant_arrives_as_json() -> None:
    rows = list(sdk._with_json("branch", [{"id": "1", "_variant": '{"b":1}'}, {"id": "2", "_variant": None}]))
    assert [row["_variant"] for row in rows] == [orjson.loads('{"b":1}'), None]
