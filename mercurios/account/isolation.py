"""A script for a live account that shows, for every tenant's table and role, whether a foreign row gets through.

POLICY_CONTEXT runs a query as if another role asked. It wants the role that owns the table, or one above it, and APPLY
on the policy. Every line of the result says `ok`, or which table lets which role see what.
"""

from collections.abc import Iterable, Iterator, Sequence
from string import Template

from mercurios.account.declaration import Declaration
from mercurios.account.names import checked_path, text
from mercurios.account.wanted import tenant_role

_HEADER = """-- Isolation of tenants, to be run as ACCOUNTADMIN on the live account: every row has to say ok.
-- A tenant's role sees rows of its own tenant only; a role that is no tenant's sees none.
"""
_OF_A_TENANT = Template("""execute using policy_context(current_role => $role) as
select
    $table as table_name,
    $role as role_name,
    count_if(checked.tenant_id is distinct from $tenant) as foreign_rows,
    count(*) as visible_rows,
    iff(count_if(checked.tenant_id is distinct from $tenant) = 0, 'ok', 'LEAK') as verdict
from $name as checked""")
_OF_NOBODY = Template("""execute using policy_context(current_role => $role) as
select
    $table as table_name,
    $role as role_name,
    count(*) as foreign_rows,
    count(*) as visible_rows,
    iff(count(*) = 0, 'ok', 'LEAK') as verdict
from $name as checked""")


def isolation_script(declaration: Declaration, tenants: Sequence[str], tables: Iterable[str]) -> str:
    """One query for each table and tenant's role, and for the roles that may see no row."""
    return _HEADER + "\n" + "".join(f"{query};\n\n" for query in _queries(declaration, tenants, tables))


def _queries(declaration: Declaration, tenants: Sequence[str], tables: Iterable[str]) -> Iterator[str]:
    nobody = ["public", *(name for name, role in declaration.roles.items() if not role.all_tenants)]
    for table in sorted(map(checked_path, tables)):
        facts = {"table": text(table), "name": table}
        for tenant in tenants:
            yield _OF_A_TENANT.substitute(facts, role=text(tenant_role(tenant).upper()), tenant=text(tenant))
        for role in nobody:
            yield _OF_NOBODY.substitute(facts, role=text(role.upper()))
