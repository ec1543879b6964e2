"""The SQL of the policies: whose rows a role sees, and who sees personal columns.

Both deny by default: a role that is named nowhere sees no row, and personal columns masked. CURRENT_ROLE is the primary
role of the session, so secondary roles add nothing.
"""

from string import Template

from mercurios.account.declaration import Declaration
from mercurios.account.names import texts

ROW_POLICY, MASKING_POLICY = "tenant_isolation", "mask_personal"
PERSONAL_TAG, COST_TAG = "personal", "cost_center"
TENANTS_TABLE = "tenants"
TENANTS_COLUMNS = (
    "tenant varchar not null, role_name varchar not null, warehouse_name varchar not null, "
    "budget_credits number(9, 0) not null"
)
ROW_SIGNATURE = "(row_tenant_id varchar)"
MASKING_SIGNATURE = "(value varchar)"

# The argument has a name that no table has, and every column its table's: nothing can bind to anything else.
_ISOLATION = Template(
    "current_role() in ($roles) or exists ("
    "select 1 from $database.governance.tenants as mapping "
    "where mapping.role_name = current_role() and mapping.tenant = row_tenant_id)"
)
_MASK = Template("case when current_role() in ($roles) then value when value is not null then '(masked)' end")


def isolation(declaration: Declaration) -> str:
    """Body of the row access policy: roles of all tenants, and a tenant's own role."""
    roles = (name.upper() for name, role in declaration.roles.items() if role.all_tenants)
    return _ISOLATION.substitute(roles=texts(roles) or "null", database=declaration.database)


def masking(declaration: Declaration) -> str:
    """Body of the masking policy: clear for roles that work on the values, a word for everyone else."""
    roles = (name.upper() for name, role in declaration.roles.items() if role.personal)
    return _MASK.substitute(roles=texts(roles) or "null")
