"""The account as code: plan, apply, plan again; drift by hand; what is left alone; what is refused.

Against a stand-in of the account (tests/account_double.py). Nothing here was verified against a real account.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from mercurios.account import (
    PACKAGED,
    Item,
    Live,
    Plan,
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

TENANTS = ("north", "south")
DECLARATION = read_declaration()
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
POLICY = "mercurios.governance.tenant_isolation"
BATCHES = f"create table mercurios.ops.batches (tenant_id varchar) with row access policy {POLICY} on (tenant_id)"
SALES = (
    "create table mercurios.raw.prohandel_sale (tenant_id varchar, zip_code varchar, zip_codes varchar, _variant "
    f"varchar) with row access policy {POLICY} on (tenant_id)"
)


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Item, ...]:
    """What is declared, with two tenants and keys."""
    folder = tmp_path_factory.mktemp("keys")
    for user in DECLARATION.users:
        (folder / f"{user}.pub").write_bytes(PUBLIC)
    return wanted(DECLARATION, TENANTS, read_keys(folder, DECLARATION.users))


def planned(account: StandIn, items: tuple[Item, ...], *, prune: bool = False) -> Plan:
    return make_plan(DECLARATION, items, read_account(account, DECLARATION, items), prune=prune)


def finished(items: tuple[Item, ...]) -> StandIn:
    """An account that is as declared, with tables that ingest made."""
    account = StandIn()
    apply(planned(account, items), account)
    account.rows(BATCHES)
    account.rows(SALES)
    apply(planned(account, items), account)
    account.log.clear()
    return account


def sql(plan: Plan) -> list[str]:
    return [statement.sql for statement in plan.statements]


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


def loading(account: StandIn) -> dict[str, Any]:
    return account.things["WAREHOUSE"]["LOADING"]


def unprotected_by_another(account: StandIn) -> None:
    everyone = "mercurios.governance.everyone"
    account.rows(f"create row access policy {everyone} as (a varchar) returns boolean -> true")
    account.rows(
        f"create table mercurios.main.open (tenant_id varchar) with row access policy {everyone} on (tenant_id)"
    )


ISOLATION = "MERCURIOS.GOVERNANCE.TENANT_ISOLATION"
STEPS = (
    "triggers on 75 percent do notify on 90 percent do notify on 100 percent do suspend on 110 percent do "
    "suspend_immediate"
)
DRIFT: dict[str, tuple[Callable[[StandIn], object], list[str]]] = {
    "warehouse size": (
        lambda a: loading(a).update(WAREHOUSE_SIZE="X-Large"),
        ["alter warehouse loading set warehouse_size = 'xsmall'"],
    ),
    "warehouse that never sleeps": (
        lambda a: a.things["WAREHOUSE"]["TENANT_NORTH"].update(AUTO_SUSPEND=0),
        ["alter warehouse tenant_north set auto_suspend = 60"],
    ),
    "warehouse that does not wake": (
        lambda a: a.things["WAREHOUSE"]["API"].update(AUTO_RESUME=False),
        ["alter warehouse api set auto_resume = true"],
    ),
    "two facts of one warehouse": (
        lambda a: a.things["WAREHOUSE"]["TRANSFORM"].update(AUTO_SUSPEND=600, STATEMENT_TIMEOUT_IN_SECONDS=172800),
        ["alter warehouse transform set auto_suspend = 60 statement_timeout_in_seconds = 3600"],
    ),
    "monitor taken off a warehouse": (
        lambda a: a.things["WAREHOUSE"]["ANALYTICS"].pop("RESOURCE_MONITOR"),
        ["alter warehouse analytics set resource_monitor = analytics"],
    ),
    "quota": (
        lambda a: a.things["RESOURCE MONITOR"]["TENANT_NORTH"].update(CREDIT_QUOTA=1000),
        ["alter resource monitor tenant_north set credit_quota = 10"],
    ),
    "frequency": (
        lambda a: a.things["RESOURCE MONITOR"]["API"].update(FREQUENCY="NEVER"),
        ["alter resource monitor api set frequency = monthly start_timestamp = immediately"],
    ),
    "a step that suspends": (
        lambda a: a.things["RESOURCE MONITOR"]["LOADING"].update(SUSPEND=[]),
        [f"alter resource monitor loading {STEPS}"],
    ),
    "a step that tells": (
        lambda a: a.things["RESOURCE MONITOR"]["TRANSFORM"].update(NOTIFY=[99]),
        [f"alter resource monitor transform {STEPS}"],
    ),
    "the account's monitor": (
        lambda a: a.account.clear(),
        ["alter account set resource_monitor = mercurios_account"],
    ),
    "retention": (
        lambda a: a.things["DATABASE"]["MERCURIOS"].update(DATA_RETENTION_TIME_IN_DAYS=0),
        ["alter database mercurios set data_retention_time_in_days = 7"],
    ),
    "managed access": (
        lambda a: a.things["SCHEMA"]["MERCURIOS.RAW"].update(MANAGED=False),
        ["alter schema mercurios.raw enable managed access"],
    ),
    "comment of a schema": (
        lambda a: a.things["SCHEMA"]["MERCURIOS.MARTS"].update(COMMENT="it's mine"),
        ["alter schema mercurios.marts set comment = 'what is published'"],
    ),
    "comment of a role": (
        lambda a: a.things["ROLE"]["READER"].update(COMMENT=""),
        ["alter role reader set comment = 'what every tenant''s role may read; by itself it sees no row'"],
    ),
    "allowed values of a tag": (
        lambda a: a.things["TAG"]["MERCURIOS.GOVERNANCE.COST_CENTER"].update(
            ALLOWED=["analytics", "ingest", "serving", "tenant", "private"]
        ),
        [
            "alter tag mercurios.governance.cost_center add allowed_values 'transform'",
            "alter tag mercurios.governance.cost_center drop allowed_values 'private'",
        ],
    ),
    "a row policy that lets everyone in": (
        lambda a: a.things["ROW ACCESS POLICY"][ISOLATION].update(BODY="true"),
        [
            f"alter row access policy {POLICY} set body -> current_role() in ('LOADER', 'TRANSFORMER', 'EXPORTER', "
            "'ANALYST', 'OPERATOR') or exists (select 1 from mercurios.governance.tenants as mapping where "
            "mapping.role_name = current_role() and mapping.tenant = row_tenant_id)"
        ],
    ),
    "a mask that shows": (
        lambda a: a.things["MASKING POLICY"]["MERCURIOS.GOVERNANCE.MASK_PERSONAL"].update(BODY="value"),
        [
            "alter masking policy mercurios.governance.mask_personal set body -> case when current_role() in "
            "('LOADER', 'TRANSFORMER') then value when value is not null then '(masked)' end"
        ],
    ),
    "a tag without its mask": (
        lambda a: a.things["TAG"]["MERCURIOS.GOVERNANCE.PERSONAL"].update(POLICIES=[]),
        ["alter tag mercurios.governance.personal set masking policy mercurios.governance.mask_personal"],
    ),
    "a role of another tenant": (
        lambda a: a.rows("update mercurios.governance.tenants set role_name = 'TENANT_SOUTH' where tenant = 'north'"),
        ["update mercurios.governance.tenants set role_name = 'TENANT_NORTH' where tenant = 'north'"],
    ),
    "a tenant that is gone": (
        lambda a: a.rows("delete from mercurios.governance.tenants where tenant = 'south'"),
        [
            "insert into mercurios.governance.tenants (tenant, role_name, warehouse_name, budget_credits) "
            "values ('south', 'TENANT_SOUTH', 'TENANT_SOUTH', 10)"
        ],
    ),
    "addresses": (
        lambda a: a.things["NETWORK RULE"]["MERCURIOS.GOVERNANCE.SERVICES"].update(VALUE_LIST=["0.0.0.0/0"]),
        ["alter network rule mercurios.governance.services set value_list = ('192.0.2.0/24')"],
    ),
    "rules of the network policy": (
        lambda a: a.things["NETWORK POLICY"]["MERCURIOS_SERVICES"].update(ALLOWED_NETWORK_RULE_LIST=[]),
        ["alter network policy mercurios_services set allowed_network_rule_list = ('mercurios.governance.services')"],
    ),
    "a person": (
        lambda a: a.things["USER"]["LOADER"].update(TYPE="PERSON"),
        ["alter user loader set type = service"],
    ),
    "a user without network policy": (
        lambda a: a.things["USER"]["TRANSFORMER"].pop("NETWORK_POLICY"),
        ["alter user transformer set network_policy = mercurios_services"],
    ),
    "secondary roles": (
        lambda a: a.things["USER"]["EXPORTER"].pop("DEFAULT_SECONDARY_ROLES"),
        ["alter user exporter set default_secondary_roles = ()"],
    ),
    "a view": (
        lambda a: a.rows("create or replace view mercurios.costs.idle_days copy grants as select 1 as one"),
        ["create or replace view mercurios.costs.idle_days copy grants as"],
    ),
    "a task that sleeps": (
        lambda a: a.rows("alter task mercurios.costs.keep_warehouse_days suspend"),
        ["alter task mercurios.costs.keep_warehouse_days resume"],
    ),
    "a task that runs every minute": (
        lambda a: a.things["TASK"]["MERCURIOS.COSTS.KEEP_WAREHOUSE_DAYS"].update(SCHEDULE="1 MINUTE"),
        [
            "create or replace task mercurios.costs.keep_warehouse_days",
            "alter task mercurios.costs.keep_warehouse_days resume",
        ],
    ),
    "a grant": (
        lambda a: a.rows("revoke usage on warehouse loading from role loader"),
        ["grant usage on warehouse loading to role loader"],
    ),
    "a future grant": (
        lambda a: a.rows("revoke select on future tables in schema mercurios.marts from role reader"),
        ["grant select on future tables in schema mercurios.marts to role reader"],
    ),
    "one table of a grant on all": (
        lambda a: a.rows("revoke select on table mercurios.raw.prohandel_sale from role transformer"),
        ["grant select on all tables in schema mercurios.raw to role transformer"],
    ),
    "a role of a user": (
        lambda a: a.rows("revoke role loader from user loader"),
        ["grant role loader to user loader"],
    ),
    "a cost center": (
        lambda a: a.rows("alter warehouse api set tag mercurios.governance.cost_center = 'tenant'"),
        ["alter warehouse api set tag mercurios.governance.cost_center = 'serving'"],
    ),
    "a table without its policy": (
        lambda a: a.things["TABLE"]["MERCURIOS.OPS.BATCHES"].update(POLICY=None),
        [f"alter table mercurios.ops.batches add row access policy {POLICY} on (tenant_id)"],
    ),
    "a table with a policy that lets everyone in": (
        unprotected_by_another,
        [
            "alter table mercurios.main.open drop row access policy mercurios.governance.everyone, "
            f"add row access policy {POLICY} on (tenant_id)"
        ],
    ),
    "a table whose policy looks at another column": (
        lambda a: a.things["TABLE"]["MERCURIOS.RAW.PROHANDEL_SALE"].update(POLICY_ON=["ZIP_CODE"]),
        [
            f"alter table mercurios.raw.prohandel_sale drop row access policy {POLICY}, "
            f"add row access policy {POLICY} on (tenant_id)"
        ],
    ),
    "a table with an odd name, made by hand": (
        lambda a: a.rows('create table mercurios.main."x; drop table y" (tenant_id varchar)'),
        [f'alter table mercurios.main."x; drop table y" add row access policy {POLICY} on (tenant_id)'],
    ),
    "a privilege that a tenant was given": (
        lambda a: a.rows("grant select on table mercurios.ops.batches to role tenant_north"),
        ["revoke select on table mercurios.ops.batches from role tenant_north"],
    ),
    "a role of all tenants that a tenant was given": (
        lambda a: a.rows("grant role transformer to role tenant_north"),
        ["revoke role transformer from role tenant_north"],
    ),
    "another tenant's role": (
        lambda a: a.rows("grant role tenant_south to role tenant_north"),
        ["revoke role tenant_south from role tenant_north"],
    ),
    "a loader that reads marts": (
        lambda a: a.rows("grant select on future tables in schema mercurios.marts to role loader"),
        ["revoke select on future tables in schema mercurios.marts from role loader"],
    ),
    "a service user that administers": (
        lambda a: a.rows("grant role accountadmin to user loader"),
        ["revoke role accountadmin from user loader"],
    ),
    "a service user with the role of another": (
        lambda a: a.rows("grant role transformer to user loader"),
        ["revoke role transformer from user loader"],
    ),
    "what everybody was given": (
        lambda a: (
            a.rows("grant usage on schema mercurios.governance to role public"),
            a.rows("grant usage on database snowflake to role public"),
        ),
        ["revoke usage on schema mercurios.governance from role public"],
    ),
    "what everybody will be given": (
        lambda a: a.rows("grant select on future views in schema mercurios.costs to role public"),
        ["revoke select on future views in schema mercurios.costs from role public"],
    ),
    "a privilege on the account": (
        lambda a: a.rows("grant monitor usage on account to role operator"),
        ["revoke monitor usage on account from role operator"],
    ),
    "a privilege that may be passed on": (
        lambda a: a.rows("grant usage on warehouse analytics to role analyst with grant option"),
        ["revoke grant option for usage on warehouse analytics from role analyst"],
    ),
    "a privilege on an odd name": (
        lambda a: (
            a.rows('create schema mercurios."Odd; drop"'),
            a.rows('grant usage on schema mercurios."Odd; drop" to role analyst'),
        ),
        ['revoke usage on schema mercurios."Odd; drop" from role analyst'],
    ),
    "a personal column without its tag": (
        lambda a: a.tags.pop(("COLUMN", "MERCURIOS.RAW.PROHANDEL_SALE.ZIP_CODE")),
        [
            "alter table mercurios.raw.prohandel_sale modify column zip_code set tag "
            "mercurios.governance.personal = 'yes'"
        ],
    ),
}


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


# -- what is refused


def declared(tmp_path: Path, **changes: Any) -> Path:
    content = yaml.safe_load(PACKAGED.read_text()) | changes
    path = tmp_path / "account.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"database": "mercurios; drop database x"}, "database: String should match pattern"),
        ({"database": "Mercurios"}, "database"),
        ({"schemas": {"raw -- x": "x"}}, "schemas"),
        ({"schemas": {"raw": "x"}}, "schema marts is used and not declared"),
        ({"networks": []}, "networks"),
        ({"networks": ["0.0.0.0/0'); drop"]}, "networks"),
        ({"networks": ["10.0.0.1/8"]}, "host bits"),
        ({"steps": {"notify": [100], "suspend": 90, "suspend_immediate": 110}}, "notify steps below suspend"),
        ({"users": {"loader": {"role": "root", "warehouse": "loading", "cost_center": "ingest"}}}, "role root"),
        (
            {"users": {"loader": {"role": "loader", "warehouse": "w", "cost_center": "ingest", "password": "x"}}},
            "Extra",
        ),
        ({"warehouses": {"tenant_x": {}}}, "warehouses.tenant_x.size"),
        ({"surprise": 1}, "surprise"),
        ({"personal": {"schemas": ["raw"], "columns": ["a b"]}}, "personal.columns"),
        ({"tenants": {"role": "analyst", "size": "xsmall", "timeout_seconds": 60, "credits": 1}}, "may not see all"),
    ],
)
def test_a_wrong_declaration_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=r"account\.yaml") as refused:
        read_declaration(declared(tmp_path, **changes))
    assert told in str(refused.value)


def test_no_role_may_build_where_the_policies_are(tmp_path: Path) -> None:
    roles = yaml.safe_load(PACKAGED.read_text())["roles"]
    roles["loader"]["builds"] = ["governance"]
    with pytest.raises(ConfigError, match="role loader may not build in costs or governance"):
        read_declaration(declared(tmp_path, roles=roles))


def test_yaml_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "account.yaml"
    for content in (b"{", b"\xff\xfe\x00", b"[" * 5000):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="expected YAML"):
            read_declaration(path)
    path.write_bytes(b"- 1")
    with pytest.raises(ConfigError, match="all: Input should be"):
        read_declaration(path)


@pytest.mark.parametrize("tenant", ["x'; drop table y", 'a"b', "a.b", "North", "", "a b", "ä", "a" * 80])
def test_a_tenants_id_gets_into_no_statement_unless_it_is_plain(tenant: str) -> None:
    with pytest.raises(ConfigError, match="expected a plain lower case name"):
        wanted(DECLARATION, (tenant,), {})


def test_texts_are_quoted(tmp_path: Path) -> None:
    comment = "it's \\' -- ; drop"
    schemas = yaml.safe_load(PACKAGED.read_text())["schemas"] | {"raw": comment}
    declaration = read_declaration(declared(tmp_path, schemas=schemas))
    account = StandIn()
    odd = wanted(declaration, TENANTS, {})
    apply(make_plan(declaration, odd, read_account(account, declaration, odd)), account)
    assert account.things["SCHEMA"]["MERCURIOS.RAW"]["COMMENT"] == comment
    assert make_plan(declaration, odd, read_account(account, declaration, odd)).statements == ()


def test_budgets_that_do_not_fit_are_told() -> None:
    """What is declared has room for five tenants; the sixth is refused with what to write."""
    five, six = (tuple(f"t{number}" for number in range(count)) for count in (5, 6))
    assert len([item for item in wanted(DECLARATION, five, {}) if item.kind == "tenant"]) == 5
    with pytest.raises(ConfigError) as told:
        wanted(DECLARATION, six, {})
    for part in ("10 too few", "warehouses may spend 100, the 6 tenants 60", "write account_credits: 160 or more"):
        assert part in str(told.value)
    wanted(DECLARATION.model_copy(update={"account_credits": 160}), six, {})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PRIVATE, "holds a private key"),
        (b"no key", "expected a public key as PEM"),
        (
            rsa.generate_private_key(public_exponent=65537, key_size=1024)
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "RSA key of 2048 bits",
        ),
        (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "RSA key of 2048 bits",
        ),
    ],
)
def test_what_is_no_public_key_is_refused_and_not_shown(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "loader.pub").write_bytes(content)
    with pytest.raises(ConfigError, match=told) as refused:
        read_keys(tmp_path, ["loader"])
    chain: BaseException | None = refused.value
    while chain:
        assert PRIVATE.decode().splitlines()[1] not in repr(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


@pytest.mark.parametrize("url", ["snowflake://A", "snowflake://u@a", "snowflake://u:pw@a?role=r", "duckdb:///x", ""])
def test_an_account_url_that_says_too_little_or_too_much_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="snowflake://USER@ACCOUNT") as refused:
        AccountSession.open(url, private_key=PRIVATE.decode())
    assert "pw" not in str(refused.value)


def test_a_private_key_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="private key cannot be read") as refused:
        AccountSession.open("snowflake://u@a?role=r", private_key="-----BEGIN PRIVATE KEY-----\nhidden")
    assert "hidden" not in repr(refused.value)


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
