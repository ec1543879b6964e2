"""What is refused before anything is asked of the account: declarations, keys, URLs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mercurios.account import PACKAGED, apply, make_plan, read_account, read_declaration, read_keys, wanted
from mercurios.account.session import AccountSession
from mercurios.errors import ConfigError
from tests.account_double import StandIn
from tests.account_drift import DECLARATION, PRIVATE, TENANTS, declared


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"database": "mercurios; drop database x"}, "database: String should match pattern"),
        ({"database": "Mercurios"}, "database"),
        ({"schemas": {"raw -- x": "x"}}, "schemas"),
        ({"schemas": {"raw": "x"}}, "schema marts is used and not declared"),
        ({"networks": []}, "networks"),
        ({"networks": ["0.0.0.0/0'); drop"]}, "networks"),
        ({"networks": ["10.0.0.1/8"]}, "host bits"),
        ({"steps": {"notify": [100], "suspend": 90, "suspend_immediate": 110}}, "notify steps below suspend"),
        ({"users": {"loader": {"role": "root", "warehouse": "loading", "cost_center": "ingest"}}}, "role root"),
        (
            {"users": {"loader": {"role": "loader", "warehouse": "w", "cost_center": "ingest", "password": "x"}}},
            "Extra",
        ),
        ({"warehouses": {"tenant_x": {}}}, "warehouses.tenant_x.size"),
        ({"surprise": 1}, "surprise"),
        ({"personal": {"schemas": ["raw"], "columns": ["a b"]}}, "personal.columns"),
        ({"tenants": {"role": "analyst", "size": "xsmall", "timeout_seconds": 60, "credits": 1}}, "may not see all"),
    ],
)
def test_a_wrong_declaration_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=r"account\.yaml") as refused:
        read_declaration(declared(tmp_path, **changes))
    assert told in str(refused.value)


def test_no_role_may_build_where_the_policies_are(tmp_path: Path) -> None:
    roles = yaml.safe_load(PACKAGED.read_text())["roles"]
    roles["loader"]["builds"] = ["governance"]
    with pytest.raises(ConfigError, match="role loader may not build in costs or governance"):
        read_declaration(declared(tmp_path, roles=roles))


def test_yaml_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "account.yaml"
    for content in (b"{", b"\xff\xfe\x00", b"[" * 5000):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="expected YAML"):
            read_declaration(path)
    path.write_bytes(b"- 1")
    with pytest.raises(ConfigError, match="all: Input should be"):
        read_declaration(path)


@pytest.mark.parametrize("tenant", ["x'; drop table y", 'a"b', "a.b", "North", "", "a b", "ä", "a" * 80])
def test_a_tenants_id_gets_into_no_statement_unless_it_is_plain(tenant: str) -> None:
    with pytest.raises(ConfigError, match="expected a plain lower case name"):
        wanted(DECLARATION, (tenant,), {})


def test_texts_are_quoted(tmp_path: Path) -> None:
    comment = "it's \\' -- ; drop"
    schemas = yaml.safe_load(PACKAGED.read_text())["schemas"] | {"raw": comment}
    declaration = read_declaration(declared(tmp_path, schemas=schemas))
    account = StandIn()
    odd = wanted(declaration, TENANTS, {})
    apply(make_plan(declaration, odd, read_account(account, declaration, odd)), account)
    assert account.things["SCHEMA"]["MERCURIOS.RAW"]["COMMENT"] == comment
    assert make_plan(declaration, odd, read_account(account, declaration, odd)).statements == ()


def test_budgets_that_do_not_fit_are_told() -> None:
    """What is declared has room for five tenants; the sixth is refused with what to write."""
    five, six = (tuple(f"t{number}" for number in range(count)) for count in (5, 6))
    assert len([item for item in wanted(DECLARATION, five, {}) if item.kind == "tenant"]) == 5
    with pytest.raises(ConfigError) as told:
        wanted(DECLARATION, six, {})
    for part in ("10 too few", "warehouses may spend 100, the 6 tenants 60", "write account_credits: 160 or more"):
        assert part in str(told.value)
    wanted(DECLARATION.model_copy(update={"account_credits": 160}), six, {})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PRIVATE, "holds a private key"),
        (b"no key", "expected a public key as PEM"),
        (
            rsa.generate_private_key(public_exponent=65537, key_size=1024)
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "RSA key of 2048 bits",
        ),
        (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "RSA key of 2048 bits",
        ),
    ],
    ids=("private", "no key", "short", "elliptic"),
)
def test_what_is_no_public_key_is_refused_and_not_shown(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "loader.pub").write_bytes(content)
    with pytest.raises(ConfigError, match=told) as refused:
        read_keys(tmp_path, ["loader"])
    chain: BaseException | None = refused.value
    while chain:
        assert PRIVATE.decode().splitlines()[1] not in repr(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


@pytest.mark.parametrize("url", ["snowflake://A", "snowflake://u@a", "snowflake://u:pw@a?role=r", "duckdb:///x", ""])
def test_an_account_url_that_says_too_little_or_too_much_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="snowflake://USER@ACCOUNT") as refused:
        AccountSession.open(url, private_key=PRIVATE.decode())
    assert "pw" not in str(refused.value)


NO_KEY = "-----BEGIN PRIVATE KEY-----\nhidden"
OF_NO_KIND = "-----BEGIN PRIVATE KEY-----\nMA8CAQAwBQYDKgMEBANhYmM=\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("pem", [NO_KEY, OF_NO_KIND])
def test_a_private_key_that_cannot_be_read_is_not_shown(pem: str) -> None:
    with pytest.raises(ConfigError, match="private key cannot be read") as refused:
        AccountSession.open("snowflake://u@a?role=r", private_key=pem)
    assert pem.splitlines()[1] not in repr(refused.value)
