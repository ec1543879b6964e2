"""The account as code: plan, apply, plan again; drift by hand; what is left alone; the commands.

Against a stand-in of the account (tests/account_double.py). Nothing here was verified against a real account.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from mercurios.account import (
    PACKAGED,
    Item,
    Live,
    apply,
    isolation_script,
    make_plan,
    read_account,
    read_declaration,
    read_keys,
    stop,
    stop_plan,
    undo_plan,
    wanted,
)
from mercurios.account.session import AccountSession
from mercurios.errors import ConfigError, WarehouseError
from mercurios.jobs.ingest import RAW_TABLES
from mercurios.warehouse import BATCHES as BATCHES_TABLE
from mercurios.warehouse import QUARANTINE
from tests.account_double import StandIn
from tests.account_drift import (
    BATCHES,
    DECLARATION,
    DRIFT,
    ISOLATION,
    POLICY,
    PRIVATE,
    PUBLIC,
    TENANTS,
    declared,
    finished,
    loading,
    planned,
    sql,
)


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Item, ...]:
    """What is declared, with two tenants and keys."""
    folder = tmp_path_factory.mktemp("keys")
    for user in DECLARATION.users:
        (folder / f"{user}.pub").write_bytes(PUBLIC)
    return wanted(DECLARATION, TENANTS, read_keys(folder, DECLARATION.users))


def test_the_second_plan_is_empty(items: tuple[Item, ...]) -> None:
    account = StandIn()
    first = planned(account, items)
    assert len(first.statements) > 150
    assert account.changes() == []
    apply(first, account)
    assert account.changes() == sql(first)
    second = planned(account, items)
    assert (second.statements, second.unmanaged) == ((), ())
    assert second.notes == (
        "view mercurios.costs.tenant_months waits for table mercurios.ops.batches; apply again once it is there",
    )
    assert second.text.endswith("-- nothing to do\n")
    account.rows(BATCHES)
    third = planned(account, items)
    assert [line.split(" as ")[0] for line in sql(third)] == [
        "create or replace view mercurios.costs.tenant_months copy grants"
    ]
    apply(third, account)
    fourth = planned(account, items)
    assert (fourth.statements, fourth.notes) == ((), ())


def test_a_third_tenant_changes_nothing_of_the_others(items: tuple[Item, ...]) -> None:
    account = finished(items)
    more = (*items, *(i for i in wanted(DECLARATION, (*TENANTS, "west"), {}) if i.key not in {i.key for i in items}))
    plan = planned(account, more)
    assert all("west" in each for each in sql(plan))
    assert not [each for each in sql(plan) if "row access policy" in each]
    apply(plan, account)
    assert sql(planned(account, more)) == []


@pytest.mark.parametrize("what", DRIFT)
def test_what_was_changed_by_hand_is_mended_by_exactly_that_statement(what: str, items: tuple[Item, ...]) -> None:
    change, expected = DRIFT[what]
    account = finished(items)
    change(account)
    plan = planned(account, items)
    assert len(plan.statements) == len(expected)
    assert [got[: len(want)] for got, want in zip(sql(plan), expected, strict=True)] == expected
    apply(plan, account)
    assert sql(planned(account, items)) == []


# Every change is of another object than the others, but for one of the two of the task.
@given(st.sets(st.sampled_from(sorted(DRIFT.keys() - {"a task that sleeps"})), min_size=2))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_changes_are_mended_by_their_statements_together(items: tuple[Item, ...], several: set[str]) -> None:
    account = finished(items)
    for what in sorted(several):
        DRIFT[what][0](account)
    plan = planned(account, items)
    expected = sorted(each for what in several for each in DRIFT[what][1])
    assert len(plan.statements) == len(expected)
    assert [got[: len(want)] for got, want in zip(sorted(sql(plan)), expected, strict=True)] == expected
    apply(plan, account)
    assert sql(planned(account, items)) == []


def test_every_kind_of_object_is_made_again_when_it_was_dropped(items: tuple[Item, ...]) -> None:
    for kind, name in (
        ("RESOURCE MONITOR", "API"),
        ("WAREHOUSE", "API"),
        ("ROLE", "ANALYST"),
        ("USER", "LOADER"),
        ("NETWORK RULE", "MERCURIOS.GOVERNANCE.SERVICES"),
        ("TASK", "MERCURIOS.COSTS.KEEP_WAREHOUSE_DAYS"),
        ("VIEW", "MERCURIOS.COSTS.IDLE_DAYS"),
    ):
        account = finished(items)
        account.rows(f"drop {kind.lower()} {name.lower()}")
        plan = planned(account, items)
        assert kind.lower() in plan.statements[0].sql, kind
        assert plan.statements[0].sql.startswith("create")
        apply(plan, account)
        assert sql(planned(account, items)) == []


def test_a_new_key_is_set_and_no_key_is_told(items: tuple[Item, ...], tmp_path: Path) -> None:
    account = finished(items)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    (tmp_path / "loader.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    rotated = wanted(DECLARATION, TENANTS, read_keys(tmp_path, DECLARATION.users))
    plan = planned(account, rotated)
    (statement,) = sql(plan)
    assert statement.startswith("alter user loader set rsa_public_key = 'MII")
    apply(plan, account)
    assert sql(planned(account, rotated)) == []
    assert plan.notes == ()  # the others keep the keys they have
    bare = planned(StandIn(), wanted(DECLARATION, TENANTS, {}))
    assert "user loader has no key and cannot log in; put loader.pub into the folder of --keys" in bare.notes


def test_what_is_not_declared_is_listed_and_left_alone_unless_asked(items: tuple[Item, ...]) -> None:
    account = finished(items)
    by_hand = (
        "create warehouse bigone with warehouse_size = 'xlarge' auto_suspend = 60 auto_resume = true",
        "create role \"Odd Role\" comment = 'x'",
        "create database scratch data_retention_time_in_days = 1",
        "create schema mercurios.tests comment = 'x'",
        "create role tenant_gone comment = 'x'",
        "create user jane type = person",
        "create role team comment = 'x'",
        "grant role analyst to user jane",
        "grant role analyst to role team",
        "grant role loader to user jane",
        "create view mercurios.costs.mine as select 1 as one",
        "insert into mercurios.governance.tenants (tenant, role_name, warehouse_name, budget_credits) "
        "values ('gone', 'TENANT_GONE', 'TENANT_GONE', 1)",
    )
    for statement in by_hand:
        account.rows(statement)
    plan = planned(account, items)
    assert plan.statements == ()
    assert plan.unmanaged == (
        "database scratch",
        "grant role analyst to role team",
        "grant role analyst to user jane",
        "grant role loader to user jane",
        'role "Odd Role"',
        "role team",
        "role tenant_gone",
        "schema mercurios.tests",
        "tenant mercurios.governance.tenants.gone",
        "view mercurios.costs.mine",
        "warehouse bigone",
    )
    assert "-- not declared, left alone: warehouse bigone" in plan.text
    pruning = planned(account, items, prune=True)
    assert sql(pruning) == [
        "revoke role analyst from role team",
        "drop view mercurios.costs.mine",
        "delete from mercurios.governance.tenants where tenant = 'gone'",
        "drop role tenant_gone",
    ]
    apply(pruning, account)
    after = planned(account, items, prune=True)
    assert after.statements == ()
    assert "BIGONE" in account.things["WAREHOUSE"]
    assert "database scratch" in after.unmanaged


def test_a_plan_can_be_run_as_it_is_whatever_names_somebody_chose(items: tuple[Item, ...]) -> None:
    """Whoever may create a table chooses its name: none gets out of its comment or its quotes."""
    account = finished(items)
    name = '"x\n; drop database mercurios; --\x1b[2J"'
    account.rows(f"create table mercurios.main.{name} (tenant_id varchar)")
    account.rows(f"create role {name} comment = 'x'")
    account.rows(f"create view mercurios.costs.{name} as select 1 as one")
    plan = planned(account, items, prune=True)
    lines = plan.text.splitlines()
    assert '-- not declared, left alone: role "x ; drop database mercurios; --?[2J"' in lines
    assert sql(plan)[0].startswith("alter table mercurios.main.")
    code = [tree for tree in sqlglot.parse(plan.text, dialect="snowflake") if not isinstance(tree, exp.Semicolon)]
    assert len(code) == len(plan.statements) == 2
    assert all(line.isprintable() for line in lines)
    apply(plan, account)
    assert sql(planned(account, items, prune=True)) == []


@pytest.mark.parametrize("name", ['"x to role reader"', '"x to user y"', '"x on procedure y"'])
def test_a_role_is_taken_from_whom_it_was_given_whatever_its_name(items: tuple[Item, ...], name: str) -> None:
    account = finished(items)
    account.rows(f"create role {name} comment = 'x'")
    account.rows(f"grant role analyst to role {name}")
    plan = planned(account, items, prune=True)
    assert sql(plan) == [f"revoke role analyst from role {name}"]
    apply(plan, account)
    assert sql(planned(account, items, prune=True)) == []


def test_what_is_personal_and_no_text_is_told(items: tuple[Item, ...]) -> None:
    account = finished(items)
    account.rows(
        f"create table mercurios.raw.odd (tenant_id varchar, zip_code bigint) with row access policy {POLICY} "
        "on (tenant_id)"
    )
    plan = planned(account, items)
    assert not [each for each in sql(plan) if "set tag" in each]
    (note,) = plan.notes
    assert note.startswith("personal column mercurios.raw.odd.zip_code is no text")


def test_a_privilege_on_an_overloaded_name_is_told_and_left(items: tuple[Item, ...]) -> None:
    live = read_account(account := finished(items), DECLARATION, items)
    by_hand = Item("grant", 'usage on function mercurios.raw."F(A VARCHAR):NUMBER" to role loader')
    plan = make_plan(DECLARATION, items, Live({**live.items, by_hand.key: by_hand}, live.tables), prune=True)
    assert by_hand.name not in "".join(sql(plan))
    assert str(by_hand) in plan.unmanaged
    assert sql(planned(account, items)) == []


def test_a_budget_of_nobody_is_told(items: tuple[Item, ...]) -> None:
    tenants = DECLARATION.tenants.model_copy(update={"budgets": {"nroth": 20}})
    declaration = DECLARATION.model_copy(update={"tenants": tenants})
    plan = make_plan(declaration, items, read_account(finished(items), declaration, items))
    assert plan.notes == ("tenants.budgets names nroth, which is no tenant",)


def test_an_account_that_answers_otherwise_is_told_and_nothing_done(items: tuple[Item, ...]) -> None:
    class Newer(StandIn):
        def rows(self, statement: str) -> Any:
            rows = super().rows(statement)
            hidden = {"show resource monitors": "suspend_immediately_at", "show warehouses": "size"}.get(statement, "")
            return [{name: value for name, value in row.items() if name != hidden} for row in rows]

    account = Newer()
    apply(make_plan(DECLARATION, items, Live({})), account)
    with pytest.raises(WarehouseError, match=r"otherwise than documented \(KeyError: 'suspend_immediately_at'\)"):
        planned(account, items)


def test_nothing_has_to_be_declared_of_what_is_optional(tmp_path: Path) -> None:
    content = yaml.safe_load(PACKAGED.read_text())
    roles = {"reader": content["roles"]["reader"]}
    small = read_declaration(declared(tmp_path, users={}, roles=roles, warehouses={}))
    account, some = StandIn(), wanted(small, (), {})
    plan = make_plan(small, some, read_account(account, small, some))
    apply(plan, account)
    with pytest.raises(WarehouseError, match="no declared warehouse resumes"):
        read_account(account, small, some)


def test_a_role_that_unloads_may_use_the_stage(tmp_path: Path) -> None:
    roles = yaml.safe_load(PACKAGED.read_text())["roles"]
    roles["exporter"]["unloads"] = ["lakes.unloaded"]
    with pytest.raises(ConfigError, match="schema lakes is used and not declared"):
        read_declaration(declared(tmp_path, roles=roles))
    roles["exporter"]["unloads"] = ["main.unloaded"]
    grants = {item.name for item in wanted(read_declaration(declared(tmp_path, roles=roles)), (), {})}
    assert {
        "usage on stage mercurios.main.unloaded to role exporter",
        "usage on schema mercurios.main to role exporter",
    } <= grants


def test_every_personal_column_is_one_that_is_loaded() -> None:
    names = {name for table in (*RAW_TABLES, BATCHES_TABLE, QUARANTINE) for name in table.columns.names}
    assert set(DECLARATION.personal.columns) <= names


def test_an_apply_that_broke_off_is_taken_up_again(items: tuple[Item, ...]) -> None:
    class Breaking(StandIn):
        left = 70

        def rows(self, statement: str) -> Any:
            if statement.split()[0] not in {"show", "describe", "select", "use"}:
                self.left -= 1
                if self.left == 0:
                    raise WarehouseError("the line is dead")
            return super().rows(statement)

    account = Breaking()
    first = planned(account, items)
    with pytest.raises(WarehouseError, match=rf"statement 70 of {len(first.statements)} failed.*the line is dead"):
        apply(first, account)
    rest = planned(account, items)
    # What is granted on all of nothing is there as soon as the role is.
    done, left = sql(first)[:69], [each for each in sql(first)[69:] if each in sql(rest)]
    assert not set(done) & set(sql(rest))
    assert sql(rest) == left
    assert all(" on all " in each for each in sql(first)[69:] if each not in left)
    apply(rest, account)
    assert sql(planned(account, items)) == []


def test_a_policy_with_another_signature_is_told_and_the_rest_goes_on(items: tuple[Item, ...]) -> None:
    account = finished(items)
    account.things["ROW ACCESS POLICY"][ISOLATION].update(SIGNATURE="(TENANT_ID VARCHAR)")
    loading(account).update(AUTO_SUSPEND=9)
    plan = planned(account, items)
    assert sql(plan) == ["alter warehouse loading set auto_suspend = 60"]
    assert "signature cannot be changed" in plan.notes[0]


def test_the_emergency_stop_and_its_undoing(items: tuple[Item, ...]) -> None:
    account = finished(items)
    account.rows("create warehouse bigone with warehouse_size = 'xlarge' auto_suspend = 600 auto_resume = true")
    account.rows("create warehouse manual with warehouse_size = 'small' auto_suspend = 60 auto_resume = false")
    stop, undo = stop_plan(account)
    apply(stop, account)
    warehouses = account.things["WAREHOUSE"].values()
    assert {(each["STATE"], each["AUTO_RESUME"]) for each in warehouses} == {("SUSPENDED", False)}
    assert account.things["TASK"]["MERCURIOS.COSTS.KEEP_WAREHOUSE_DAYS"]["STATE"] == "suspended"
    assert "alter warehouse bigone abort all queries" in sql(stop)
    assert stop_plan(account)[0].statements == ()
    with pytest.raises(WarehouseError, match="stop --undo"):
        planned(account, items)
    assert "alter warehouse bigone set auto_resume = true" in sql(undo)
    assert not [each for each in sql(undo) if "manual" in each]
    apply(undo_plan(account, DECLARATION), account)
    plan = planned(account, items)
    assert sql(plan) == ["alter task mercurios.costs.keep_warehouse_days resume"]
    apply(plan, account)
    assert sql(planned(account, items)) == []
    assert not account.things["WAREHOUSE"]["BIGONE"]["AUTO_RESUME"]


def test_a_stop_goes_on_after_what_fails_and_tells_what_would_not_stop(items: tuple[Item, ...]) -> None:
    class Stubborn(StandIn):
        locked = "ALTER WAREHOUSE NOBODY"

        def rows(self, statement: str) -> Any:
            if statement == "alter warehouse api suspend":
                self.things["WAREHOUSE"]["API"]["STATE"] = "SUSPENDED"  # it went to sleep a moment before
            if statement.upper().startswith(self.locked):
                raise WarehouseError("not yours")
            return super().rows(statement)

    account = Stubborn()
    apply(make_plan(DECLARATION, items, Live({})), account)
    for each in account.things["WAREHOUSE"].values():
        each["STATE"] = "STARTED"
    plan, _ = stop_plan(account)
    done: list[str] = []
    assert stop(account, plan, lambda statement: done.append(statement.sql)) == ()
    assert "alter warehouse api suspend" not in done
    apply(undo_plan(account, DECLARATION), account)
    account.locked = "ALTER WAREHOUSE LOADING"
    plan, _ = stop_plan(account)
    told = stop(account, plan, lambda _: None)
    assert told == ("alter warehouse loading set auto_resume = false: not yours",)
    assert not account.things["WAREHOUSE"]["TENANT_SOUTH"]["AUTO_RESUME"]


def test_the_isolation_script_asks_for_every_table_and_role() -> None:
    tables = ("mercurios.marts.fct_sale_lines", "mercurios.raw.prohandel_sale")
    script = isolation_script(DECLARATION, TENANTS, tables)
    for table in tables:
        for role in ("TENANT_NORTH", "TENANT_SOUTH", "READER", "PUBLIC"):
            assert f"policy_context(current_role => '{role}') as\nselect\n    '{table}' as table_name" in script
    assert "checked.tenant_id is distinct from 'north'" in script
    assert script.count("execute using") == 8
    odd = 'mercurios.raw."; drop table ""x"'
    assert f"'{odd}' as table_name" in isolation_script(DECLARATION, TENANTS, [odd])
    for wrong in ("mercurios.raw.x; drop table y", 'mercurios.raw."x"; drop table "y"', "mercurios.Raw.x", ""):
        with pytest.raises(ConfigError, match="expected names as the account has them"):
            isolation_script(DECLARATION, TENANTS, [wrong])


# -- the commands


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, items: tuple[Item, ...]) -> Callable[..., tuple[int, str]]:
    """Runs `mercurios snowflake …` against the stand-in; two tenants are set up."""
    from typer.testing import CliRunner

    from mercurios.commands import snowflake

    class Directory:
        def ids(self) -> tuple[str, ...]:
            return TENANTS

    account = StandIn()
    monkeypatch.setattr("mercurios.wiring.tenants", lambda: Directory())
    monkeypatch.setattr(StandIn, "__enter__", lambda self: self, raising=False)
    monkeypatch.setattr(StandIn, "__exit__", lambda self, *_: None, raising=False)
    monkeypatch.setattr(AccountSession, "open", lambda *_, **__: account)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "admin.pem").write_bytes(PRIVATE)
    connect = ["--account", "snowflake://ADMIN@X?role=ACCOUNTADMIN", "--key", "admin.pem"]

    def run(*arguments: str, offline: bool = False) -> tuple[int, str]:
        done = CliRunner().invoke(snowflake.app, [*arguments, *([] if offline else connect)])
        return done.exit_code, done.output

    return run


def test_the_commands(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, offline = command("plan", offline=True)
    assert code == 0
    assert "create warehouse loading" in offline
    assert command("plan") == (0, offline)
    assert command("verify")[0] == 1
    code, output = command("apply", "--yes")
    assert (code, output.count("done: ")) == (0, offline.count(";\n"))
    code, output = command("plan")
    assert output.endswith("-- nothing to do\n")
    code, output = command("verify")
    assert code == 0
    assert "0 tables of tenants" in output
    assert (tmp_path / "isolation.sql").read_text().startswith("-- Isolation of tenants")
    code, output = command("stop", "--yes")
    assert code == 0
    assert output.index("these statements undo exactly this") < output.index("done: ")
    assert "alter warehouse loading set auto_resume = true;" in output
    assert command("stop", "--undo", "--yes")[0] == 0
    assert command("apply", "--yes")[0] == 0
    assert command("plan")[1].endswith("-- nothing to do\n")


def test_without_account_only_plan_does_anything(command: Callable[..., tuple[int, str]]) -> None:
    from typer.testing import CliRunner

    from mercurios.commands import snowflake

    for name in ("apply", "verify", "stop"):
        done = CliRunner().invoke(snowflake.app, [name])
        assert isinstance(done.exception, ConfigError)
        assert "--account snowflake://" in str(done.exception)


def test_nobody_asked_nothing_done(command: Callable[..., tuple[int, str]]) -> None:
    code, output = command("apply")  # no answer is no
    assert code == 1
    assert "done: " not in output


def test_json_of_the_declaration_has_no_secret() -> None:
    text = json.dumps(DECLARATION.model_dump(mode="json")).lower()
    assert "password" not in text
    assert "private" not in text
