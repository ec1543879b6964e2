"""Snowflake: the warehouse in production, reached through prefect-snowflake's blocks with a key pair.

    url = "snowflake://SERVICE_USER@ACCOUNT/MERCURIOS?warehouse=LOADING&role=LOADER"
    with SnowflakeWarehouse.open(url, private_key=pem) as warehouse: ...

The database, its roles and warehouses exist before; see the account objects. Rows travel as Parquet files through the
stage of their table (PUT, then COPY INTO).
"""

import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from mercurios.errors import ConfigError, WarehouseError
from mercurios.warehouse import BATCHES, NAME, Extract, TableSpec, extracts
from mercurios.warehouse.engine import Row
from mercurios.warehouse.extracts import Target
from mercurios.warehouse.sql import SqlWarehouse, plain_type

if TYPE_CHECKING:
    from prefect_snowflake import SnowflakeConnector

TENANT_POLICY = "governance.tenant_isolation"
"""The row access policy of the account; see mercurios.account."""
LOGIN_SECONDS = 60
NETWORK_SECONDS = 300
"""The connector repeats a failed request until one of these has passed; it has no limit of its own."""

_COPY = Template("""
    copy into $table ($columns)
    from (select $values from $stage)
    file_format = (type = parquet use_logical_type = true) purge = true force = true
""")

_UNLOADED = {
    pa.string(): "varchar",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}


@dataclass(frozen=True)
class Address:
    """Where a Snowflake warehouse is and as whom.

    stage: the external stage over the lake's folder, through which marts are unloaded; None to read them instead.
    """

    user: str
    account: str
    database: str
    warehouse: str
    role: str | None
    stage: str | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read snowflake://USER@ACCOUNT/DATABASE?warehouse=…&role=…; raises ConfigError naming what is missing."""
        parts = urlsplit(url)
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        user, _, account = parts.netloc.rpartition("@")
        needed = {
            "user": user,
            "account": account,
            "database": parts.path.strip("/"),
            "warehouse": given.get("warehouse"),
        }
        missing = [name for name, value in needed.items() if not value]
        if parts.scheme != "snowflake" or missing or parts.password is not None:
            what = f"{', '.join(missing)} missing" if missing else "no such scheme, or a password in it"
            raise ConfigError(f"warehouse URL: expected snowflake://USER@ACCOUNT/DATABASE?warehouse=…&role=…; {what}")
        return cls(
            unquote(user),
            account,
            unquote(str(needed["database"])),
            str(needed["warehouse"]),
            given.get("role"),
            _stage(given.get("stage")),
        )


@dataclass(frozen=True)
class Endpoint:
    """What differs when not Snowflake itself answers, such as an emulator on loopback."""

    host: str
    port: int
    protocol: str = "http"
    parameters: Mapping[str, Any] = field(default_factory=dict)


class SnowflakeWarehouse(SqlWarehouse):
    """The warehouse in a Snowflake database."""

    types: ClassVar[dict[pa.DataType, str]] = {
        pa.string(): "varchar",
        pa.int64(): "bigint",
        pa.float64(): "double",
        pa.bool_(): "boolean",
        pa.timestamp("us"): "timestamp_ntz",
        pa.date32(): "date",
    }
    stored_types: ClassVar[Mapping[pa.DataType, str]] = types | {
        pa.string(): "text",
        pa.int64(): "number",
        pa.float64(): "float",
    }
    tenant_policy = f"with row access policy {TENANT_POLICY} on (tenant_id)"
    partitions_a_query = 200

    def __init__(self, connector: "SnowflakeConnector", connection: Any, stage: str | None = None) -> None:
        self._connector = connector
        self._stage = stage
        self._connection = connection

    def __repr__(self) -> str:
        credentials = self._connector.credentials
        return f"SnowflakeWarehouse({credentials.user}@{credentials.account}/{self._connector.database})"

    @classmethod
    def open(
        cls, url: str, *, private_key: str, passphrase: str = "", endpoint: Endpoint | None = None
    ) -> "SnowflakeWarehouse":
        """Connect with the service user's private key (PEM).

        Raises ConfigError for a URL or key that cannot be read, WarehouseError when Snowflake refuses or is silent.
        """
        address = Address.parse(url)
        connector = _connector(address, private_key, passphrase)
        overrides: dict[str, Any] = {"login_timeout": LOGIN_SECONDS, "network_timeout": NETWORK_SECONDS}
        if endpoint is not None:
            overrides |= {"host": endpoint.host, "port": endpoint.port, "protocol": endpoint.protocol}
            overrides |= endpoint.parameters
        with _translated(f"{address.account}/{address.database}"):
            connection = connector.get_connection(paramstyle="qmark", arrow_number_to_decimal=True, **overrides)
        return cls(connector, connection, address.stage)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def ensure(self, *tables: TableSpec) -> None:
        """Create what is missing of these tables, their columns and schemas, ops.batches and ops.quarantine."""
        try:
            super().ensure(*tables)
        except WarehouseError as error:
            if TENANT_POLICY in str(error).lower():
                error.add_note(
                    "the account lacks its row access policy, or it may not be used; next: mercurios snowflake apply"
                )
            raise
        self.run(f"use schema {BATCHES.schema}")  # where the temporary tables of a load are

    def run(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._translated(), self._connection.cursor() as cursor:
            rows: list[Row] = cursor.execute(statement, tuple(parameters) or None).fetchall()
            return rows

    def fetch(self, statement: str, parameters: Sequence[object] = ()) -> pa.Table:
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            return cursor.fetch_arrow_all(force_return_table=True, force_microsecond_precision=True)

    def stream(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            for chunk in cursor.fetch_arrow_batches(force_microsecond_precision=True):
                yield from chunk.to_batches()

    def unload(self, extract: Extract, partitions: pa.Table, folder: str, name: str) -> bool:
        """Unload through the stage that the URL names; False without one, and where a column would change its type."""
        types = {field.type: _unloaded(field.type) for field in extract.columns}
        if self._stage is None or not all(types.values()):
            return False
        self.run(*extracts.unload(extract, partitions, Target(f"@{self._stage}/{folder}/", name, types)))
        return True

    def append(self, table: str, chunks: Iterable[pa.Table]) -> None:
        schema, _, name = table.rpartition(".")
        stage = f"@{schema}.%{name}" if schema else f"@%{name}"
        stage += f"/{uuid.uuid4().hex}"  # what an upload that broke off left behind is never copied
        columns = None
        for number, chunk in enumerate(chunks):
            columns = chunk.schema
            with tempfile.TemporaryDirectory(prefix="mercurios-") as folder:
                file = Path(folder) / f"{number}.parquet"
                pq.write_table(chunk, file)
                self.run(f"put 'file://{file}' {stage} auto_compress = false")
        if columns is not None:
            self._copy(table, stage, columns)

    def _copy(self, table: str, stage: str, schema: pa.Schema) -> None:
        values = ", ".join(f"$1:{field.name}::{self.types[plain_type(field.type)]}" for field in schema)
        self.run(_COPY.substitute(table=table, stage=stage, columns=", ".join(schema.names), values=values))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("begin")
        try:
            yield
            self.run("commit")
        except BaseException:
            with suppress(WarehouseError):  # a lost connection has rolled back already; what happened first is told
                self.run("rollback")
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with _translated(f"{self._connector.credentials.account}/{self._connector.database}"):
            yield


def _stage(name: str | None) -> str | None:
    if name is not None and not all(NAME.fullmatch(part) for part in name.split(".")):
        raise ConfigError(f"warehouse URL: expected stage=SCHEMA.NAME in lower case, got {name[:80]!r}")
    return name


def _unloaded(kind: pa.DataType) -> str:
    """What a column is cast to so that its Parquet type is this one; empty where nothing is documented to give it.

    Integers that are not cast come as decimals. A moment in UTC cannot be unloaded: with a time zone it is an error,
    and without one the file says that it is local.
    """
    if pa.types.is_decimal(kind):
        return f"number({kind.precision}, {kind.scale})"
    return _UNLOADED.get(kind, "")


def _connector(address: Address, private_key: str, passphrase: str) -> "SnowflakeConnector":
    from prefect_snowflake import SnowflakeConnector, SnowflakeCredentials
    from prefect_snowflake.credentials import InvalidPemFormat

    if not private_key.strip():
        raise ConfigError("no Snowflake private key is set: put the PEM into MERCURIOS_SNOWFLAKE_PRIVATE_KEY")
    secrets = {"private_key_passphrase": passphrase} if passphrase else {}
    optional = {"role": address.role} if address.role else {}
    credentials = SnowflakeCredentials(
        account=address.account,
        user=address.user,
        private_key=private_key.encode(),
        authenticator="snowflake_jwt",
        autocommit=True,
        **secrets,
        **optional,
    )
    try:
        credentials.resolve_private_key()
    except (InvalidPemFormat, ValueError, TypeError) as error:
        raise ConfigError(
            "the Snowflake private key cannot be read: expected a PEM, and its passphrase if any"
        ) from error
    return SnowflakeConnector(
        credentials=credentials, database=address.database, warehouse=address.warehouse, schema=BATCHES.schema
    )


@contextmanager
def _translated(place: str) -> Iterator[None]:
    from snowflake.connector.errors import Error

    try:
        yield
    except Error as error:
        raise WarehouseError(f"snowflake {place}: {error}") from error
