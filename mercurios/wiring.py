"""Settings to open stores: the only place that chooses an adapter.

    with open_warehouse() as warehouse: ...
    north = open_workspace("north")

The scheme of a URL picks the adapter. Nothing above this module reads a setting, nothing below it opens a store by
itself. Every function takes the settings to use; without, it reads them from the environment.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mercurios.config import ROOT, Settings, count_together
from mercurios.errors import ConfigError
from mercurios.tenancy import FilesSource, Tenant, TenantDirectory

if TYPE_CHECKING:
    from mercurios.answers import Answer
    from mercurios.api.access import Access
    from mercurios.api.access.keys import ApiKeys
    from mercurios.api.armour import Armour
    from mercurios.api.backend import Backend
    from mercurios.api.popular import Warmed
    from mercurios.forecasting.engine import Workers
    from mercurios.jobs.retrain import RetrainReport
    from mercurios.jobs.status import Status
    from mercurios.journal import Journals
    from mercurios.lake import Expiry, Lake
    from mercurios.registry import ModelVersion, Registry
    from mercurios.release_files import ReleaseFiles
    from mercurios.retrieval import Embedder
    from mercurios.sources.files import FileDrop
    from mercurios.sources.prohandel import ProHandel
    from mercurios.transformation import DbtResult
    from mercurios.warehouse import Warehouse
    from mercurios.workspace import Workspace


def tenants(settings: Settings | None = None) -> TenantDirectory:
    """The folder of tenants."""
    return TenantDirectory((settings or Settings()).tenants_folder)


def tenant_ids(settings: Settings | None = None) -> tuple[str, ...]:
    """Ids of all tenants; raises ConfigError when there is none."""
    directory = tenants(settings)
    if not directory.ids():
        raise ConfigError(
            f"no tenants in {directory.folder}; run `mercurios demo`, or add one with `mercurios tenant add FILE`"
        )
    return directory.ids()


def open_source(tenant: Tenant, warehouse: "Warehouse | None" = None) -> "ProHandel | FileDrop":
    """Connect to the tenant's system; close it after use.

    warehouse: knows which files were read before; without it none was.
    """
    if isinstance(tenant.source, FilesSource):
        from mercurios.jobs.ingest.ledgers import FILES
        from mercurios.sources.files import FileDrop

        done = warehouse.rows(FILES, tenant.id)["origin"].to_pylist() if warehouse else ()
        return FileDrop(tenant, frozenset(done))
    from mercurios.sources.prohandel import ProHandel

    return ProHandel(tenant)


def try_source(tenant: Tenant) -> str:
    """Log in and read one page, or list the files; tells what came. Raises SourceError."""
    with open_source(tenant) as source:
        return source.probe()


def spool_folder(settings: Settings | None = None) -> Path:
    """Folder of pages that are read and not in the warehouse yet, a folder in it for every tenant."""
    return (settings or Settings()).home / "spool"


def forget_tenant(tenant_id: str, settings: Settings | None = None) -> Mapping[str, int]:
    """Delete what warehouse, spool and journal have of a tenant; returns rows deleted by table."""
    chosen = settings or Settings()
    with open_warehouse(chosen) as warehouse:
        forgotten = warehouse.forget(tenant_id)
    with suppress(FileNotFoundError):
        shutil.rmtree(spool_folder(chosen) / tenant_id)
    return {**forgotten, "journal": open_journals(chosen).of(tenant_id).forget()}


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
    raise ConfigError(
        f"warehouse URL of scheme {scheme!r}: expected duckdb:///PATH or snowflake://USER@ACCOUNT/DATABASE"
    )


def build_marts(built_by: str = "", settings: Settings | None = None) -> "DbtResult":
    """Run `dbt build` through prefect-dbt; models appear as task runs of the flow that calls.

    built_by: the project that made the build before, see `build_command`.
    """
    from mercurios.transformation import build_command, prefect_invoke, run_dbt, target_for

    chosen, project = settings or Settings(), ROOT / "dbt"
    target = target_for(chosen.warehouse_url, chosen.snowflake_private_key.get_secret_value())
    return run_dbt(project, target, chosen.home / "dbt", prefect_invoke(project), build_command(project, built_by))


def metric_definitions(settings: Settings | None = None) -> Mapping[str, bytes]:
    """The semantic manifest of the newest dbt build, as a file for the release."""
    from mercurios.release_files import MANIFEST
    from mercurios.transformation import semantic_manifest

    return {MANIFEST: semantic_manifest((settings or Settings()).home / "dbt").encode()}


def open_lake(settings: Settings | None = None) -> "Lake":
    """Open the lake."""
    from mercurios.lake import Lake

    chosen = settings or Settings()
    return Lake.open(chosen.catalog_url, chosen.lake_url)


def expire_releases(now: datetime, settings: Settings | None = None, *, dry_run: bool = False) -> "Expiry":
    """Expire releases by the policy of the settings, but none that a champion was trained on."""
    from mercurios.jobs.expire import expire, trained_on
    from mercurios.lake import Policy

    chosen = settings or Settings()
    policy = Policy(chosen.keep_releases, chosen.keep_days)
    pinned = trained_on(open_registry(chosen), tenants(chosen).ids())
    return expire(open_lake(chosen), policy, now=now, pinned=pinned, dry_run=dry_run)


def expire_models(
    now: datetime, settings: Settings | None = None, *, dry_run: bool = False
) -> "tuple[ModelVersion, ...]":
    """Expire versions of models by the policy of the settings, of all tenants."""
    from mercurios.jobs.expire import expire_models as expire
    from mercurios.lake import Policy

    chosen = settings or Settings()
    policy = Policy(chosen.keep_releases, chosen.keep_days)
    return expire(open_registry(chosen), tenants(chosen).ids(), policy, now=now, dry_run=dry_run)


def write_forecast_card(report: "RetrainReport", settings: Settings | None = None) -> Path:
    """Write home/models/TENANT/forecast.md, the model card of what was retrained last; returns its path."""
    from mercurios.jobs.retrain.card import card

    path = (settings or Settings()).home / "models" / report.tenant_id / "forecast.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card(report, described=(ROOT / "models" / "forecast.md").read_text()))
    return path


def open_registry(settings: Settings | None = None) -> "Registry":
    """Open the model registry."""
    from mercurios.registry import Registry

    return Registry.open((settings or Settings()).mlflow_url)


def forecast_workers(settings: Settings | None = None) -> "Workers":
    """Where statistical forecasts are fitted."""
    from mercurios.forecasting.engine import Workers

    return Workers.parse((settings or Settings()).forecast_workers)


def embedder(settings: Settings | None = None) -> "Embedder":
    """The embedder that indexes are built with, one per process."""
    from mercurios.retrieval import open_embedder

    return open_embedder((settings or Settings()).embedder)


def release_files(lake: "Lake", settings: Settings | None = None) -> "ReleaseFiles":
    """Metric definitions and indexes of the lake's releases, read with the light query embedder."""
    from mercurios.release_files import ReleaseFiles
    from mercurios.retrieval import open_query_embedder

    return ReleaseFiles(lake, open_query_embedder((settings or Settings()).embedder))


def open_workspace(tenant_id: str, settings: Settings | None = None) -> "Workspace":
    """Open one tenant on the current release; raises UnknownTenant, or NoRelease when nothing was exported yet."""
    from mercurios.answers.llm import open_model
    from mercurios.serving import open_session
    from mercurios.workspace import Workspace

    chosen = settings or Settings()
    tenant = tenants(chosen).get(tenant_id)
    lake = open_lake(chosen)
    session = open_session(lake.reader(tenant.id, lake.require_current()))
    llm = open_model(chosen.llm, chosen.llm_model, chosen.llm_key.get_secret_value())
    return Workspace(tenant, session, release_files(lake, chosen), open_registry(chosen), llm)


def token_secret(settings: Settings | None = None) -> str:
    """What API tokens are signed with: the setting, or a random secret made once and kept under home (mode 0600)."""
    chosen = settings or Settings()
    if given := chosen.token_secret.get_secret_value():
        return given
    path = chosen.home / "token.secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as made:  # mode 0600
            made.write(secrets.token_urlsafe(48))
            made.flush()
            with suppress(FileExistsError):  # another process was faster: its secret counts
                os.link(made.name, path)
    return path.read_text()


def issue_token(tenant_id: str, role: str, hours: int, settings: Settings | None = None) -> str:
    """A token for the API; raises UnknownTenant, BadRequest for an unknown role, ConfigError with a provider."""
    from mercurios.api.access.tokens import issue

    chosen = settings or Settings()
    if chosen.oidc_issuer:
        raise ConfigError(
            f"the API takes tokens of {chosen.oidc_issuer} alone; for a service use `mercurios key create`"
        )
    tenant = tenants(chosen).get(tenant_id)
    return issue(token_secret(chosen), tenant.id, role, timedelta(hours=hours))


def api_keys(settings: Settings | None = None) -> "ApiKeys":
    """The API keys of this installation."""
    from mercurios.api.access.keys import ApiKeys

    return ApiKeys((settings or Settings()).home / "access" / "keys.sqlite")


def open_access(settings: Settings | None = None) -> "Access":
    """Who may ask the API; raises ConfigError for a provider that cannot be, or an audit log that cannot be written."""
    from mercurios.api.access import Access
    from mercurios.api.access.audit import AuditLog
    from mercurios.api.access.identity import Pseudonyms
    from mercurios.api.access.limits import RateLimits
    from mercurios.api.access.provider import Provider, Registration

    chosen = settings or Settings()
    secret, provider = token_secret(chosen), None
    if chosen.oidc_issuer:
        names = (chosen.oidc_audience, chosen.oidc_tenant_claim, chosen.oidc_role_claim)
        provider = Provider(Registration(chosen.oidc_issuer, *names), Pseudonyms(secret))
    limits = RateLimits(chosen.rate_per_second, chosen.rate_burst)
    audit = AuditLog.open(chosen.home / "access" / "audit.jsonl")
    return Access(secret, api_keys(chosen), limits, audit, provider)


def status(settings: Settings | None = None) -> "Status":
    """Look at every store."""
    from mercurios.jobs.status import collect

    with open_warehouse(settings, read_only=True) as warehouse:
        return collect(tenant_ids(settings), warehouse, open_lake(settings), open_registry(settings))


def open_journals(settings: Settings | None = None) -> "Journals":
    """What people tell the API, by tenant."""
    from mercurios.journal import Journals

    return Journals.open((settings or Settings()).journal_url)


def armour(settings: Settings) -> "Armour":
    """What one request may be and cost; raises ConfigError for an origin that is none."""
    from mercurios.api.armour import Armour, origins

    return Armour(
        deadline_seconds=settings.deadline_seconds,
        request_points=settings.request_points,
        tenant_points=settings.tenant_points,
        introspection=settings.introspection,
        allow_list=settings.allow_list,
        origins=origins(settings.origins),
    )


def serve_api(port: int, processes: int, announce: Callable[[str], None], settings: Settings | None = None) -> None:
    """Serve the API on loopback until SIGINT or SIGTERM."""
    chosen = settings or Settings()
    if processes > 1:
        _serve_together(port, processes, announce, chosen)
        return
    from mercurios.api.processes import listen
    from mercurios.api.server import make_app, serve

    listener = listen(port, "127.0.0.1")
    serve(make_app(_backend(chosen), open_access(chosen), armour=armour(chosen)), listener, announce=announce)


def _serve_together(port: int, processes: int, announce: Callable[[str], None], settings: Settings) -> None:
    with tempfile.TemporaryDirectory(prefix="mercurios-counts-") as folder:
        count_together(counts := Path(folder))
        from mercurios.api.processes import listen_together, run_together
        from mercurios.api.telemetry import forget_process

        listeners = listen_together(port, "127.0.0.1", processes)

        def work(number: int) -> None:
            from mercurios.api.server import make_app, serve

            backend = _backend(settings, settings.session_bytes // processes)
            app = make_app(backend, open_access(settings), counts=counts, armour=armour(settings))
            serve(app, listeners[number], announce=announce if number == 0 else lambda url: None)

        run_together(listeners, work, ended=lambda pid: forget_process(pid, counts))


def warm_answers(settings: Settings | None = None) -> "Warmed":
    """Answer what each tenant asks most of the current release, into the cache that the API reads."""
    from mercurios.api.execution import GraphQL
    from mercurios.api.popular import Popular, warm
    from mercurios.api.responses import Responses
    from mercurios.api.telemetry import Telemetry

    chosen = settings or Settings()
    backend, secret = _backend(chosen), token_secret(chosen)
    responses, popular = Responses(backend.cache, secret), Popular(backend.cache, secret)
    try:
        return warm(GraphQL(backend, Telemetry(backend.sessions)), responses, popular, backend.tenants())
    finally:
        backend.cache.close()


def _backend(settings: Settings, session_bytes: int | None = None) -> "Backend":
    from mercurios.answers.llm import open_model
    from mercurios.api.backend import Backend
    from mercurios.api.seals import Seals
    from mercurios.cache import open_cache
    from mercurios.jobs.query import ask
    from mercurios.serving import Session, Sessions

    lake = open_lake(settings)
    files = release_files(lake, settings)
    llm = open_model(settings.llm, settings.llm_model, settings.llm_key.get_secret_value())

    def answer(session: Session, question: str, locale: str | None) -> "Answer":
        return ask(session, files.semantics(session.release), files.index(session), question, locale, llm)

    sessions = Sessions(lake, capacity_bytes=session_bytes or settings.session_bytes)
    return Backend(
        sessions,
        files.semantics,
        answer,
        open_cache(settings.cache),
        tenants(settings).ids,
        lake.releases,
        open_journals(settings).of,
        Seals(token_secret(settings)),
        lambda tenant_id: tenants(settings).get(tenant_id).sla,
    )
