"""Tenant files and secret references."""

from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from mercurios.errors import ConfigError, UnknownTenant
from mercurios.secrets import SecretRef
from mercurios.tenancy import TenantDirectory, parse_tenant

NORTH = """
id: north
name: North
currency: EUR
time_zone: Europe/Berlin
locale: de
vat_rates: {1: 0.19, 2: 0.07}
source:
  kind: prohandel
  auth_url: https://auth.example.com/
  api_key: env:NORTH_KEY
  api_secret: file:north.secret
"""


def test_a_tenant_file_is_read_and_secrets_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "north.yaml").write_text(NORTH)
    (tmp_path / "north.secret").write_text("s3cret-value\n")
    monkeypatch.setenv("NORTH_KEY", "k3y-value")
    north = TenantDirectory(tmp_path).get("north")
    assert (north.source.api_key.reveal(), north.source.api_secret.reveal()) == ("k3y-value", "s3cret-value")
    assert "value" not in repr(north)
    assert north.vat_rates == {1: 0.19, 2: 0.07}
    assert north.source.auth_url == "https://auth.example.com"


def test_tenants_are_listed_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    for name in ("south", "north"):
        (tmp_path / f"{name}.yaml").write_text(NORTH.replace("id: north", f"id: {name}"))
    directory = TenantDirectory(tmp_path)
    assert directory.ids() == ("north", "south")
    assert [tenant.id for tenant in directory.all()] == ["north", "south"]
    for name in ("east", "../north", "NORTH", ""):
        with pytest.raises(UnknownTenant, match="north, south"):
            directory.get(name)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("id: north", "id: No-rth", "lower case"),
        ("currency: EUR", "currency: euro", "ISO 4217"),
        ("Europe/Berlin", "Europe/Atlantis", "unknown time zone"),
        ("1: 0.19", "1: 19", "fractions"),
        ("env:NORTH_KEY", "hunter2", "reference"),
        ("  api_key: env:NORTH_KEY\n", "", "lacks api_key"),
        ("vat_rates: {1: 0.19, 2: 0.07}", "vat_rates: high", "wrong kind"),
        ("id: north", "id: [", "no YAML"),
    ],
)
def test_what_is_wrong_in_a_tenant_file_is_said(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_tenant(NORTH.replace(before, after), tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_missing_secret_names_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORTH_KEY", raising=False)
    for text in ("env:NORTH_KEY", "file:nowhere"):
        with pytest.raises(ConfigError, match=text):
            SecretRef.parse(text, tmp_path).reveal()


def test_secrets_manager_through_prefect_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="north/api-key", SecretString="from-aws")
        assert SecretRef.parse("aws-secret:north/api-key", tmp_path).reveal() == "from-aws"
        with pytest.raises(ConfigError, match="south/api-key"):
            SecretRef.parse("aws-secret:south/api-key", tmp_path).reveal()
