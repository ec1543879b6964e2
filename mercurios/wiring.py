"""Settings to open stores: the only place that chooses an adapter.

    with open_warehouse() as warehouse: ...
    north = open_workspace("north")

The scheme of a URL picks the adapter. Nothing above this module reads a setting, nothing below it opens a store by
itself. Every function takes the settings to use; without, it reads them from the environment.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mercurios.config import ROOT, Settings
from mercurios.errors import ConfigError
from mercurios.lake import Lake
from mercurios.tenancy import Tenant, TenantDirectory

if TYPE_CHECKING:
    from mercurios.sources.prohandel import ProHandel
    from mercurios.transformation import DbtResult
    from mercurios.warehouse import Warehouse

MANIFEST_FILE = "semantic_manifest.json"


def tenants(settings: Settings | None = None) -> TenantDirectory:
    """The folder of tenants."""
    return TenantDirectory((settings or Settings()).tenants_folder)


def tenant_ids(settings: Settings | None = None) -> tuple[str, ...]:
    """Ids of all tenants; raises ConfigError when there is none."""
    directory = tenants(settings)
    if not directory.ids():
        raise ConfigError(f"no tenants in {directory.folder}; run `mercurios demo`, or put a tenant file there")
    return directory.ids()


def open_source(tenant: Tenant) -> "ProHandel":
    """Connect to the tenant's system; close it after use."""
    from mercurios.sources.prohandel import ProHandel

    return ProHandel(tenant)


def open_warehouse(settings: Settings | None = None, *, read_only: bool = False) -> "Warehouse":
    """Open the warehouse that the URL's scheme names; close it after use."""
    chosen = settings or Settings()
    url = chosen.warehouse_url
    scheme = urlsplit(url).scheme
    if scheme == "duckdb":
        from mercurios.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse.open(url, read_only=read_only)
    if scheme == "snowflake":
        from mercurios.warehouse.snowflake import SnowflakeWarehouse

        return SnowflakeWarehouse.open(url, private_key=chosen.snowflake_private_key.get_secret_value())
    raise ConfigError(f"warehouse URL of scheme {scheme!r}: expected duckdb:///PATH or snowflake://USER@ACCOUNT/DATABASE")


def build_marts(settings: Settings | None = None) -> "DbtResult":
    """Run `dbt build` through prefect-dbt; models and tests appear as task runs of the flow that calls."""
    from mercurios.transformation import prefect_invoke, run_dbt, target_for

    chosen = settings or Settings()
    target = target_for(chosen.warehouse_url, chosen.snowflake_private_key.get_secret_value())
    return run_dbt(ROOT / "dbt", target, chosen.home / "dbt", prefect_invoke(ROOT / "dbt"))


def metric_definitions(settings: Settings | None = None) -> Mapping[str, bytes]:
    """The semantic manifest of the newest dbt build, as a file for the release."""
    from mercurios.transformation import semantic_manifest

    return {MANIFEST_FILE: semantic_manifest((settings or Settings()).home / "dbt").encode()}


def open_lake(settings: Settings | None = None) -> Lake:
    """Open the lake; cheap, once per process is enough."""
    chosen = settings or Settings()
    return Lake.open(chosen.catalog_url, chosen.lake_url)
