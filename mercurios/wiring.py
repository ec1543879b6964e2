"""Settings to open stores: the only place that chooses an adapter.

    with open_warehouse() as warehouse: ...
    north = open_workspace("north")

The scheme of a URL picks the adapter. Nothing above this module reads a setting, nothing below it opens a store by
itself.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from mercurios.config import ROOT, Settings
from mercurios.errors import ConfigError
from mercurios.lake import Lake, Release
from mercurios.serving import Session, Sessions
from mercurios.serving import open_session as open_serving_session
from mercurios.tenancy import Tenant, TenantDirectory

if TYPE_CHECKING:
    from mercurios.answers import Answer
    from mercurios.metrics import SemanticLayer
    from mercurios.registry import Registry
    from mercurios.retrieval import Embedder
    from mercurios.sources.prohandel import ProHandel
    from mercurios.transformation import DbtResult
    from mercurios.warehouse import Warehouse
    from mercurios.workspace import Workspace

MANIFEST_FILE = "semantic_manifest.json"


def settings() -> Settings:
    """The settings of this process, read anew from the environment."""
    return Settings()


def tenants() -> TenantDirectory:
    """The folder of tenants."""
    return TenantDirectory(settings().tenants_folder)


def tenant_ids() -> tuple[str, ...]:
    """Ids of all tenants; raises ConfigError when there is none."""
    ids = tenants().ids()
    if not ids:
        raise ConfigError(f"no tenants in {settings().tenants_folder}; run `mercurios demo`, or add a tenant file there")
    return ids


@contextmanager
def open_source(tenant: Tenant) -> "Iterator[ProHandel]":
    """Connect to the tenant's system."""
    from mercurios.sources.prohandel import ProHandel

    source = ProHandel(tenant.source)
    try:
        yield source
    finally:
        source.close()
