"""Tenants: who a merchant is and how their system is reached.

    tenants = TenantDirectory(Path("var/tenants"))
    north = tenants.get("north")
    north.source.api_secret.reveal()

One YAML file a tenant; `template.yaml` beside this shows all there is to say. Credentials are references (see
`mercurios.secrets`), never values. Everything that is wrong with a file is told at once.
"""

from mercurios.tenancy.directory import TenantDirectory
from mercurios.tenancy.reading import TENANT_ID, check_facts, parse_tenant, read_tenant
from mercurios.tenancy.tenant import FilesSource, Filters, ProHandelSource, Sla, Tenant

__all__ = [
    "TENANT_ID",
    "FilesSource",
    "Filters",
    "ProHandelSource",
    "Sla",
    "Tenant",
    "TenantDirectory",
    "check_facts",
    "parse_tenant",
    "read_tenant",
]
