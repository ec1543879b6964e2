"""Settings: read once from the environment, frozen, secrets masked.

    settings = Settings()
    settings.warehouse_url

Every setting is an environment variable `MERCURIOS_<NAME>`. The seam between laptop and production is URLs: the
scheme picks the adapter. This module and the secret references of a tenant are the only readers of the environment.
"""

import os
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """All settings with their defaults; the README's table is tested against this class.

    URLs are left out of its text form: some carry a password.
    """

    model_config = SettingsConfigDict(env_prefix="MERCURIOS_", frozen=True, extra="ignore")

    home: Path = Field(default=ROOT / "var", description="folder of everything Mercurios keeps on a laptop")
    warehouse: str = Field(
        default="", description="duckdb:///PATH or snowflake://USER@ACCOUNT/DATABASE?warehouse=…&role=…"
    )
    catalog: str = Field(default="", repr=False, description="Iceberg catalog, sqlite:///PATH or glue://")
    lake: str = Field(
        default="", repr=False, description="where the lake's files go, file:///PATH or s3://BUCKET/PREFIX"
    )
    mlflow: str = Field(
        default="", repr=False, description="MLflow tracking and registry, sqlite:///PATH or http(s)://HOST"
    )
    cache: str = Field(default="memory:", repr=False, description="memory: or redis://HOST:PORT/DB")
    session_bytes: int = Field(
        default=4_000_000_000,
        ge=1,
        description="memory the API keeps merchants' rows in, of all its processes together",
    )
    journal: str = Field(
        default="", description="what people tell the API, sqlite:///PATH on a local disk; under home when empty"
    )
    llm: str = Field(default="none:", repr=False, description="none: or the base URL of an OpenAI-compatible server")
    llm_model: str = Field(default="", description="model name to ask for at the LLM server")
    llm_key: SecretStr = Field(default=SecretStr(""), description="key for the LLM server")
    embedder: str = Field(
        default="use-multilingual", description="use-multilingual, or the folder of a sentence-transformers model"
    )
    token_secret: SecretStr = Field(
        default=SecretStr(""), description="signs API tokens; made and kept under home when empty"
    )
    oidc_issuer: str = Field(default="", description="OIDC provider whose tokens the API takes, as its `iss` says")
    oidc_audience: str = Field(default="", description="what the provider calls this API in `aud`")
    oidc_tenant_claim: str = Field(default="tenant", description="claim of its tokens that names the tenant")
    oidc_role_claim: str = Field(default="roles", description="claim of its tokens that names the role, or several")
    rate_per_second: float = Field(default=200, gt=0, description="requests a second of one tenant, in one process")
    rate_burst: int = Field(default=400, ge=1, description="requests a tenant may send at once after a pause")
    deadline_seconds: float = Field(default=10, gt=0, description="how long a request to the API may take")
    request_points: int = Field(default=20_000, ge=1, description="what one request may cost, in points of the schema")
    tenant_points: int = Field(default=600_000, ge=1, description="what a tenant's requests may cost in a minute")
    introspection: str = Field(
        default="analyst",
        pattern="^(viewer|analyst|buyer|admin)$",
        description="lowest role that may ask for the schema",
    )
    allow_list: Path | None = Field(
        default=None, description="folder of the only GraphQL documents that are answered, besides the dashboard's"
    )
    origins: str = Field(
        default="", description="web pages elsewhere that may ask the API, comma-separated, as https://HOST"
    )
    snowflake_private_key: SecretStr = Field(default=SecretStr(""), description="PEM of the service user's private key")
    tenants: Path | None = Field(default=None, description="folder of tenant files; home/tenants when empty")
    keep_releases: int = Field(default=30, ge=1, description="newest releases, and versions of a model, always kept")
    keep_days: int = Field(default=90, ge=0, description="days every release and version of a model is kept")
    forecast_workers: str = Field(
        default="1",
        pattern="^([1-9][0-9]*|all|ray)$",
        description="processes that fit statistical forecasts: a number, all, or ray (where RAY_ADDRESS says)",
    )
    sandbox_port: int = Field(
        default=8765, description="first port of the ProHandel stand-in; merchants take the next ones"
    )

    @field_validator("home", "tenants", "allow_list")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.absolute() if path else None  # a relative one would mean another folder in every child process

    @property
    def warehouse_url(self) -> str:
        """Warehouse URL; an embedded DuckDB file under home unless set."""
        return self.warehouse or f"duckdb:///{self.home}/warehouse.duckdb"

    @property
    def catalog_url(self) -> str:
        """Iceberg catalog URL; SQLite under home unless set."""
        return self.catalog or f"sqlite:///{self.home}/lake/catalog.db"

    @property
    def lake_url(self) -> str:
        """Where the lake's files go; under home unless set."""
        return self.lake or f"file://{self.home}/lake/data"

    @property
    def mlflow_url(self) -> str:
        """MLflow tracking and registry; `mlruns/` of the checkout unless set, or under home where home was moved."""
        folder = ROOT / "mlruns" if self.home == ROOT / "var" else self.home / "mlruns"
        return self.mlflow or f"sqlite:///{folder}/mlflow.db"

    @property
    def journal_url(self) -> str:
        """Journal URL; SQLite under home unless set."""
        return self.journal or f"sqlite:///{self.home}/journal.db"

    @property
    def tenants_folder(self) -> Path:
        """Folder of the tenant files."""
        return self.tenants or self.home / "tenants"


def keep_prefect_at_home(settings: Settings) -> None:
    """Keep Prefect's own state under home, unless PREFECT_HOME says where; to be called before Prefect is imported."""
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))


def count_together(folder: Path) -> None:
    """Have the processes that are forked from this one count in one folder; before prometheus_client is imported."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def child_environment(**extra: str) -> dict[str, str]:
    """The environment for a child process: this one's, with `extra` on top."""
    return {**os.environ, **extra}
