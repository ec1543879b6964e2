"""The connection of an administrator, with a key pair.

with AccountSession.open("snowflake://ADMIN@ACCOUNT?role=ACCOUNTADMIN", private_key=pem) as session:
    session.rows("show warehouses")
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, unquote, urlsplit

from mercurios.errors import ConfigError, WarehouseError

Row = Mapping[str, Any]
LOGIN_SECONDS, NETWORK_SECONDS = 60, 300
_FORM = "snowflake://USER@ACCOUNT?role=ACCOUNTADMIN"


class Session(Protocol):
    """A connection as a role that sees the whole account."""

    def rows(self, statement: str) -> list[Row]:
        """Run one statement; rows with column names in lower case. Raises WarehouseError."""


class AccountSession:
    """One connection; every statement is run as the role of the URL."""

    def __init__(self, connection: Any, account: str) -> None:
        self._connection = connection
        self._account = account

    def __repr__(self) -> str:
        return f"AccountSession({self._account})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @classmethod
    def open(cls, url: str, *, private_key: str, passphrase: str = "", **overrides: Any) -> "AccountSession":
        """Connect; overrides go to the driver. Raises ConfigError for URL or key, WarehouseError when refused."""
        user, account, role = _address(url)
        import snowflake.connector

        options: dict[str, Any] = {"login_timeout": LOGIN_SECONDS, "network_timeout": NETWORK_SECONDS}
        options |= {"session_parameters": {"QUERY_TAG": "mercurios-account"}, **overrides}
        key = _der(private_key, passphrase)
        with _translated(account):
            connection = snowflake.connector.connect(
                user=user, account=account, role=role, private_key=key, authenticator="snowflake_jwt", **options
            )
        return cls(connection, account)

    def rows(self, statement: str) -> list[Row]:
        """Run one statement; rows with column names in lower case. Raises WarehouseError."""
        with _translated(self._account), self._connection.cursor() as cursor:
            cursor.execute(statement)
            names = [column.name.lower() for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _address(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    user, _, account = parts.netloc.rpartition("@")
    role = parse_qs(parts.query).get("role", [""])[-1]
    if parts.scheme != "snowflake" or not (user and account and role) or parts.password is not None:
        raise ConfigError(f"account URL: expected {_FORM}, a user, an account and a role, no password")
    return unquote(user), account, role


def _der(private_key: str, passphrase: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(private_key.encode(), passphrase.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("the private key cannot be read: expected a PEM, and its passphrase if any") from None
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _translated(account: str) -> Iterator[None]:
    from snowflake.connector.errors import Error

    try:
        yield
    except Error as error:
        raise WarehouseError(f"snowflake {account}: {error}") from error
