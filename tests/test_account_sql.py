"""The account's statements: they parse, the emulator runs what it can, policies and views mean what they say.

Nothing here was verified against a real account.
"""

import logging
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
import sqlglot
from sqlglot import exp

from mercurios.account import (
    Live,
    apply,
    isolation_script,
    make_plan,
    read_account,
    stop_plan,
    undo_plan,
    wanted,
)
from mercurios.account import policies as account_policies
from mercurios.account.session import AccountSession
from mercurios.errors import WarehouseError
from tests.account_double import StandIn
from tests.account_drift import DECLARATION, DRIFT, finished
from tests.snowflake_emulator import Emulator

ITEMS = wanted(DECLARATION, ("north", "south"), {})
CREATED = [
    each.sql for each in make_plan(DECLARATION, ITEMS, Live({}, frozenset({"mercurios.ops.batches"}))).statements
]

# What sqlglot 30 has no tree for: it keeps the text as it is. The stand-in reads these word by word.
AS_TEXT = re.compile(
    r"create (resource monitor|role|masking policy|network (rule|policy)|user|schema|or replace task)\b"
    r"|alter (account|warehouse|user|role|schema|database|tag|task|masking policy|row access policy)\b"
    r"|alter (network (rule|policy)|resource monitor)\b"
    r"|alter table .+ (add row access policy|drop row access policy|modify column \S+ set tag)\b"
    r"|grant (role|select on (all|future)|create \w+|apply|usage on (warehouse|database|schema)|monitor)\b"
    r"|revoke (role|select on future|grant option for|monitor usage on account|usage on schema)\b"
    r"|drop (resource monitor|warehouse|role|task)\b"
    r"|execute using policy_context"
)
# sqlglot takes the words for the clause of a table. Its body is parsed by itself below.
UNREADABLE = re.compile(r"create row access policy\b")


def drifted() -> Iterator[str]:
    """Every statement that mends one of the tests' changes, and those that prune."""
    for change, _ in DRIFT.values():
        account = finished(ITEMS)
        change(account)
        yield from (s.sql for s in make_plan(DECLARATION, ITEMS, read_account(account, DECLARATION, ITEMS)).statements)
    more = wanted(DECLARATION, ("east", "north", "south"), {})
    account = finished(more)
    account.rows("grant select on table mercurios.ops.batches to role reader")
    plan = make_plan(DECLARATION, ITEMS, read_account(account, DECLARATION, ITEMS), prune=True)
    yield from (each.sql for each in plan.statements)
    for side in stop_plan(account):
        yield from (each.sql for each in side.statements)
    apply(stop_plan(account)[0], account)
    yield from (each.sql for each in undo_plan(account, DECLARATION).statements)


def tree(statement: str) -> exp.Expression:
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    parsed = sqlglot.parse(statement, dialect="snowflake")
    assert len(parsed) == 1, statement
    assert isinstance(parsed[0], exp.Expression)
    return parsed[0]


def test_every_statement_is_one_and_parses() -> None:
    script = isolation_script(DECLARATION, ("north",), ("mercurios.marts.fct_sale_lines",))
    queries = [each.strip() for each in script.partition("\n\n")[2].split(";\n") if each.strip()]
    assert len(queries) == 3
    statements = {*CREATED, *drifted(), *queries}
    assert len(statements) > 190
    texts = 0
    for statement in statements:
        if UNREADABLE.match(statement):
            with pytest.raises(sqlglot.ParseError):
                tree(statement)
        elif isinstance(tree(statement), exp.Command):
            assert AS_TEXT.match(statement), f"sqlglot has no tree for it and it is not listed: {statement}"
            texts += 1
    assert 100 < texts < len(statements)


def test_what_is_inside_of_texts_parses_too() -> None:
    (task,) = (each for each in CREATED if each.startswith("create or replace task"))
    assert isinstance(tree(task.partition(" as ")[2]), exp.Merge)


def bodies() -> dict[str, exp.Expression]:
    return {
        "isolation": sqlglot.parse_one(f"select {account_policies.isolation(DECLARATION)}", dialect="snowflake"),
        "masking": sqlglot.parse_one(f"select {account_policies.masking(DECLARATION)}", dialect="snowflake"),
    }


def test_every_column_of_a_policy_is_its_tables_and_the_argument_is_nobodys() -> None:
    """The prototype compared `mapping.tenant_id = tenant_id`: both were the mapping's own column, so always true."""
    for name, argument in (("isolation", "row_tenant_id"), ("masking", "value")):
        columns = list(bodies()[name].find_all(exp.Column))
        assert argument in {column.name for column in columns}
        for column in columns:
            assert (column.name == argument) != bool(column.table), column.sql()
    assert not re.search(r"\b(row_tenant_id|tenant_id)\b", account_policies.TENANTS_COLUMNS)


def seen_by(emulator: Emulator, role: str, body: str) -> list[tuple[object, ...]]:
    """Which of the rows of three tenants, one of them null, the body lets through for a role."""
    condition = body.replace("current_role()", f"'{role}'").replace("row_tenant_id", "sold.tenant_id")
    with emulator.open("MERCURIOS_POLICIES") as warehouse:
        return warehouse.run(f"select sold.tenant_id from raw.sold as sold where {condition} order by 1")


def test_the_isolation_lets_a_tenant_see_its_rows_and_nobody_else_any(emulator: Emulator) -> None:
    with emulator.open("MERCURIOS_POLICIES") as warehouse:
        for statement in (
            "create schema if not exists governance",
            "create schema if not exists raw",
            f"create or replace table governance.tenants ({account_policies.TENANTS_COLUMNS})",
            "create or replace table raw.sold (tenant_id varchar)",
            "insert into raw.sold values ('north'), ('south'), ('west'), (null)",
        ):
            warehouse.run(statement)
        for statement in (each for each in CREATED if each.startswith("insert into mercurios.governance.tenants")):
            warehouse.run(statement.replace("mercurios.governance", "governance"))
    body = account_policies.isolation(DECLARATION).replace("mercurios.governance", "governance")
    assert seen_by(emulator, "TENANT_NORTH", body) == [("north",)]
    assert seen_by(emulator, "TENANT_SOUTH", body) == [("south",)]
    for nobody in ("READER", "PUBLIC", "ACCOUNTADMIN", "TENANT_WEST", ""):
        assert seen_by(emulator, nobody, body) == [], nobody
    assert len(seen_by(emulator, "TRANSFORMER", body)) == 4
    prototype = body.replace("mapping.tenant = row_tenant_id", "mapping.tenant = tenant")
    assert len(seen_by(emulator, "TENANT_NORTH", prototype)) == 4, "the defect this test is about"


def test_personal_columns_are_clear_for_who_works_on_them_only(emulator: Emulator) -> None:
    with emulator.open("MERCURIOS_POLICIES") as warehouse:
        for role, expected in (("LOADER", "26122"), ("OPERATOR", "(masked)"), ("TENANT_NORTH", "(masked)")):
            body = account_policies.masking(DECLARATION).replace("current_role()", f"'{role}'")
            assert warehouse.run(f"select {body} from (select '26122' as value) as t") == [(expected,)]
            assert warehouse.run(f"select {body} from (select cast(null as varchar) as value) as t") == [(None,)]


# -- the emulator


RUNS = ("create database", "create table", "insert into", "create or replace view")


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> Iterator[AccountSession]:
    """The administrator's session on the emulator, with ACCOUNT_USAGE made by hand and what runs there run."""
    url = f"snowflake://ADMIN@{emulator.account}?role=ACCOUNTADMIN"
    place = {"host": emulator.host, "port": emulator.port, "protocol": "http"} | emulator.endpoint.parameters
    with AccountSession.open(url, private_key=emulator.private_key, **place) as session:
        for statement in USAGE:
            session.rows(statement)
        yield session


USAGE = (
    "create database if not exists snowflake",
    "create schema if not exists snowflake.account_usage",
    "create or replace table snowflake.account_usage.warehouse_metering_history (warehouse_name varchar, "
    "start_time timestamp_tz, credits_used number(18, 6), credits_used_compute number(18, 6), "
    "credits_used_cloud_services number(18, 6))",
    "insert into snowflake.account_usage.warehouse_metering_history values "
    "('LOADING', '2026-01-01 23:30:00+00:00', 2, 1.5, 0.5), ('LOADING', '2026-01-02 00:30:00+00:00', 4, 4, 0), "
    "('TRANSFORM', '2026-01-02 00:30:00+00:00', 6, 6, 0), ('TENANT_NORTH', '2026-01-02 09:30:00+00:00', 3, 3, 0)",
    "create or replace table snowflake.account_usage.query_attribution_history (warehouse_name varchar, "
    "start_time timestamp_tz, user_name varchar, query_tag varchar, credits_attributed_compute number(18, 6), "
    "credits_used_query_acceleration number(18, 6))",
    "insert into snowflake.account_usage.query_attribution_history values "
    "('LOADING', '2026-01-02 00:30:00+00:00', 'LOADER', null, 1, null), "
    "('LOADING', '2026-01-02 00:40:00+00:00', 'LOADER', null, 1.5, 0.5)",
    "create or replace table snowflake.account_usage.tag_references (object_name varchar, domain varchar, "
    "tag_name varchar, tag_value varchar, object_deleted timestamp_tz)",
    "insert into snowflake.account_usage.tag_references values "
    "('LOADING', 'WAREHOUSE', 'COST_CENTER', 'ingest', null), "
    "('TRANSFORM', 'WAREHOUSE', 'COST_CENTER', 'old', '2025-01-01 00:00:00+00:00')",
    "create database if not exists mercurios",
    "create schema if not exists mercurios.governance",
    "create schema if not exists mercurios.costs",
    "create schema if not exists mercurios.ops",
    "create or replace table mercurios.ops.batches (tenant_id varchar, started_at timestamp_ntz, extracted bigint)",
    "insert into mercurios.ops.batches values ('north', '2026-01-05 00:00:00', 30), ('south', '2026-01-06', 10)",
)


def test_the_cost_views_count_what_was_metered(account: AccountSession) -> None:
    for statement in CREATED:
        if statement.startswith(RUNS) and not statement.startswith("create database"):
            account.rows(statement.replace(" copy grants", ""))
    days = account.rows("select * from mercurios.costs.warehouse_days order by used_on, warehouse_name")
    assert [(d["warehouse_name"], d["used_on"], d["credits"]) for d in days] == [
        ("LOADING", date(2026, 1, 1), 2),
        ("LOADING", date(2026, 1, 2), 4),
        ("TENANT_NORTH", date(2026, 1, 2), 3),
        ("TRANSFORM", date(2026, 1, 2), 6),
    ]
    idle = account.rows("select * from mercurios.costs.idle_days where warehouse_name = 'LOADING' order by used_on")
    assert [each["idle_credits"] for each in idle] == [Decimal("1.5"), 1]
    centers = account.rows("select * from mercurios.costs.cost_center_months order by cost_center")
    assert [(each["cost_center"], each["credits"]) for each in centers] == [("(none)", 9), ("ingest", 6)]
    months = account.rows("select * from mercurios.costs.tenant_months order by tenant")
    told = [(m["tenant"], m["budget_credits"], m["own_credits"], m["shared_credits"]) for m in months]
    assert told == [("north", 10, 3, 9), ("south", 10, 0, 3)]
    shared = sum(each["shared_credits"] for each in months)
    assert shared + sum(each["own_credits"] for each in months) == sum(d["credits"] for d in days)


def test_the_task_keeps_days_and_corrects_those_it_has(account: AccountSession) -> None:
    (task,) = (each for each in CREATED if each.startswith("create or replace task"))
    merge = task.partition(" as ")[2].replace("current_date()", "cast('2026-01-03' as date)")
    kept = "select * from mercurios.costs.kept_warehouse_days order by used_on, warehouse_name"
    account.rows("insert into mercurios.costs.kept_warehouse_days values ('LOADING', '2024-01-01', 7, 7, 0)")
    account.rows("insert into mercurios.costs.kept_warehouse_days values ('LOADING', '2026-01-02', 1, 1, 0)")
    for _ in range(2):
        account.rows(merge)
        rows = [(row["warehouse_name"], row["used_on"], row["credits"]) for row in account.rows(kept)]
        assert len(rows) == 5
        assert rows[0] == ("LOADING", date(2024, 1, 1), 7)
        assert ("LOADING", date(2026, 1, 2), 4) in rows


# The kinds of statements that fakesnow has no answer to, and what it says instead. `create tag` it takes and forgets.
NOT_ON_THE_EMULATOR = {
    "create resource monitor": 'syntax error at or near "resource"',
    "create warehouse": 'syntax error at or near "WAREHOUSE"',
    "create role": 'syntax error at or near "role"',
    "create user": 'syntax error at or near "user"',
    "create row access policy": "Expected ON after ROW ACCESS POLICY name",
    "create masking policy": 'syntax error at or near "masking"',
    "create network rule": 'syntax error at or near "network"',
    "create network policy": 'syntax error at or near "network"',
    "create or replace task": 'syntax error at or near "task"',
    "grant role": 'syntax error at or near "grant"',
    "grant usage on warehouse": 'syntax error at or near "GRANT"',
    "grant select on future": 'syntax error at or near "grant"',
    "alter tag": 'syntax error at or near "tag"',
    "show tags": 'syntax error at or near "in"',
}


class NotOnTheEmulator(Exception):
    """The emulator said what is known that it says; anything else it may say is a failure."""


@pytest.mark.parametrize("begin", NOT_ON_THE_EMULATOR)
@pytest.mark.xfail(strict=True, raises=NotOnTheEmulator, reason="fakesnow 0.12 has no objects of the account")
def test_what_the_emulator_cannot_show(account: AccountSession, begin: str) -> None:
    try:
        account.rows(next(each for each in (*CREATED, "show tags in account") if each.startswith(begin)))
    except WarehouseError as error:
        if NOT_ON_THE_EMULATOR[begin] in str(error):
            raise NotOnTheEmulator(begin) from error
        raise


def test_an_error_of_the_account_is_ours(account: AccountSession) -> None:
    with pytest.raises(WarehouseError, match="snowflake emulator"):
        account.rows("select * from nowhere.at.all")
    assert repr(account) == "AccountSession(emulator)"


def test_the_stand_in_refuses_what_snowflake_refuses() -> None:
    account = StandIn()
    apply(make_plan(DECLARATION, ITEMS, Live({})), account)
    for wrong in (
        "create warehouse loading",
        "create warehouse w with warehouse_sise = 'small'",
        "create warehouse w with resource_monitor = nowhere",
        "alter warehouse nowhere set auto_suspend = 60",
        "alter warehouse loading set auto_suspend 60",
        "alter warehouse loading set tag mercurios.governance.cost_center = 'gold'",
        "grant usage on warehouse nowhere to role loader",
        "grant fly on warehouse loading to role loader",
        "grant role nobody to user loader",
        "create schema nowhere.x with managed access comment = 'x'",
        "alter table mercurios.governance.tenants add row access policy nowhere on (tenant)",
        "create or replace view mercurios.costs.x copy grants as select * from mercurios.nowhere.at_all",
        "frobnicate",
        "show nothing",
        "alter resource monitor loading set frequency = daily",
        "alter resource monitor loading set triggers on 90 percent do notify",
        "alter resource monitor loading",
    ):
        with pytest.raises((WarehouseError, StopIteration)):
            account.rows(wrong)
