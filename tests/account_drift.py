"""An account to change by hand: as it is declared, every change, and the statements that mend it.

account = finished(items)
DRIFT["quota"][0](account)
assert sql(planned(account, items)) == DRIFT["quota"][1]
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mercurios.account import PACKAGED, Item, Plan, apply, make_plan, read_account, read_declaration
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


def declared(tmp_path: Path, **changes: Any) -> Path:
    content = yaml.safe_load(PACKAGED.read_text()) | changes
    path = tmp_path / "account.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


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
    "a privilege on a name that reads like an overload": (
        lambda a: (
            a.rows('create schema mercurios."x on function y"'),
            a.rows('grant usage on schema mercurios."x on function y" to role analyst'),
        ),
        ['revoke usage on schema mercurios."x on function y" from role analyst'],
    ),
    "a personal column without its tag": (
        lambda a: a.tags.pop(("COLUMN", "MERCURIOS.RAW.PROHANDEL_SALE.ZIP_CODE")),
        [
            "alter table mercurios.raw.prohandel_sale modify column zip_code set tag "
            "mercurios.governance.personal = 'yes'"
        ],
    ),
}
