"""Tenant files and secret references."""

import re
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from mercurios.errors import ConfigError, UnknownTenant
from mercurios.secrets import SecretRef
from mercurios.tenancy import (
    FilesSource,
    Filters,
    ProHandelSource,
    Sla,
    Tenant,
    TenantDirectory,
    check_facts,
    parse_tenant,
)
from mercurios.tenancy.directory import TEMPLATE

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
SOUTH = """
id: south
name: Süd   # stays
currency: EUR
time_zone: Europe/Vienna
locale: de-AT
vat_rates: {}
source:
  kind: files
  url: drops   # stays, too
sla:
  quality: 1
  freshness_hours: 2.5
"""


def prohandel(tenant: Tenant) -> ProHandelSource:
    assert isinstance(tenant.source, ProHandelSource)
    return tenant.source


def test_a_tenant_file_is_read_and_secrets_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "north.yaml").write_text(NORTH)
    (tmp_path / "north.secret").write_text("s3cret-value\n")
    monkeypatch.setenv("NORTH_KEY", "k3y-value")
    north = TenantDirectory(tmp_path).get("north")
    source = prohandel(north)
    assert (source.api_key.reveal(), source.api_secret.reveal()) == ("k3y-value", "s3cret-value")
    assert "value" not in repr(north)
    assert north.vat_rates == {1: 0.19, 2: 0.07}
    assert source.auth_url == "https://auth.example.com"
    assert north.sla == Sla()


def test_everything_a_file_may_say_is_read(tmp_path: Path) -> None:
    more = (
        NORTH
        + """
  page_size: 10000
  calls_per_minute: 60
  calls_per_run: 5000
  filters: {changed_from: "filter[lastChange][gte]", day_until: until}
sla: {quality: 0.9}
"""
    )
    north = parse_tenant(more, tmp_path)
    expected = replace(
        prohandel(parse_tenant(NORTH, tmp_path)),
        page_size=10_000,
        calls_per_minute=60,
        calls_per_run=5000,
        filters=Filters(changed_from="filter[lastChange][gte]", day_until="until"),
    )
    assert north.source == expected
    assert north.sla == Sla(quality=0.9)
    assert parse_tenant(NORTH.replace("  kind: prohandel\n", "").replace("locale: de\n", ""), tmp_path).locale == "de"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("drops", "file:///home/shop/drops"),
        ("../my drops", "file:///home/shop/../my%20drops"),
        ("/srv/drops", "file:///srv/drops"),
        ("file:///srv/drops", "file:///srv/drops"),
        ("s3://my-bucket/north/", "s3://my-bucket/north"),
        ("s3://my-bucket", "s3://my-bucket"),
    ],
)
def test_files_come_from_a_folder_or_a_bucket(given: str, read: str) -> None:
    tenant = parse_tenant(SOUTH.replace("url: drops ", f"url: {given} "), Path("/home/shop"))
    assert tenant.source == FilesSource(read)
    assert (tenant.locale, tenant.sla) == ("de-AT", Sla(1, 2.5))


def test_the_template_is_a_tenant_file_with_every_field_there_is(tmp_path: Path) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert parse_tenant(text, tmp_path).id == "myshop"
    lines = [line.partition("#")[2][1:] if line.lstrip().startswith("# ") else line for line in text.splitlines()]
    for field in (*ProHandelSource.__dataclass_fields__, *Filters.__dataclass_fields__, *Sla.__dataclass_fields__):
        assert any(line.strip().startswith(f"{field}:") for line in lines), field
    opened = re.sub(r"^(  )?# (?=page_size|calls_|filters|sla)", r"\1", text, flags=re.M)
    opened = re.sub(r"^(  )?#   (?=(changed|day|quality|freshness))", r"\1  ", opened, flags=re.M)
    north = parse_tenant(opened, tmp_path)
    assert prohandel(north).filters == Filters("changedFrom", "dateFrom", "dateUntil")
    assert (prohandel(north).calls_per_run, north.sla) == (5000, Sla())


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
        ("id: north", "id: 7", "id: expected a valid string"),
        ("name: North", "name: ''", "name: "),
        ("currency: EUR", "currency: euro", "ISO 4217"),
        ("Europe/Berlin", "Europe/Atlantis", "unknown time zone"),
        ("Europe/Berlin", "../../etc/passwd", "unknown time zone"),
        ("Europe/Berlin", "localtime", "unknown time zone"),
        ("locale: de", "locale: fr", "expected de or en"),
        ("1: 0.19", "1: 19", "fractions"),
        ("1: 0.19", "1: .nan", "fractions"),
        ("1: 0.19", "1: 19 %", "vat_rates.1: expected a valid number"),
        ("1: 0.19", "one: 0.19", r"vat_rates.one.*integer"),
        ("vat_rates: {1: 0.19, 2: 0.07}", "vat_rates: high", "vat_rates: expected"),
        ("vat_rates: {1: 0.19, 2: 0.07}", "vat_rates: {1: 0.19, 1: 0.07}", "1 more than once in line 7"),
        ("env:NORTH_KEY", "hunter2", "source.api_key: a credential must be a reference"),
        ("env:NORTH_KEY", "{hunter2: 1}", "source.api_key: a credential must be a reference"),
        ("env:NORTH_KEY", "env:MERCURIOS_LLM_KEY", "source.api_key: .*setting of Mercurios"),
        ("  api_key: env:NORTH_KEY\n", "", "source lacks api_key"),
        ("https://auth.example.com/", "http://auth.example.com", "auth_url: it must be https"),
        ("https://auth.example.com/", "https://me:hunter2@auth.example.com", "no user, password"),
        ("https://auth.example.com/", "https://auth.example.com:hunter2", "auth_url: expected a URL"),
        ("kind: prohandel", "kind: ftp", "kind: prohandel` or `kind: files"),
        ("kind: prohandel", "page_sise: 5", "source has an unknown key 'page_sise', did you mean page_size?"),
        ("kind: prohandel", "page_size: 0", "source.page_size: expected greater than or equal to 1"),
        ("kind: prohandel", "page_size: yes", "source.page_size: expected a valid integer"),
        ("kind: prohandel", "calls_per_run: 1", "source.calls_per_run: expected greater than or equal to 2"),
        ("kind: prohandel", "calls_per_minute: 0", "source.calls_per_minute: expected greater than or equal to 1"),
        ("kind: prohandel", "filters: {day_from: PageSize}", "source.filters.day_from: page and pagesize select"),
        ("kind: prohandel", "filters: {changed_from: page}", "source.filters.changed_from: page and pagesize select"),
        ("kind: prohandel", "filters: {day_from: date, day_until: Date}", "source.filters: two of them name the same"),
        ("kind: prohandel", "filters: {day_form: x}", "source.filters has .*'day_form', did you mean day_from?"),
        ("kind: prohandel", "filters: {day_from: 'a&b=hunter2'}", "source.filters.day_from: .*query parameter"),
        ("locale: de", "sla: {quality: 98}", "sla.quality: expected less than or equal to 1"),
        ("locale: de", "sla: {freshness: 98}", "sla has .*'freshness', did you mean freshness_hours?"),
        ("locale: de", "colour: hunter", "unknown key 'colour', known are id, name"),
        ("id: north", "id: [", "no YAML"),
        ("id: north", "id: !!python/object:os.system hunter2", "no YAML"),
        ("id: north", "id: !!timestamp hunter2", "no YAML"),
        ("id: north", "id: !!bool hunter2", "no YAML"),
        ("id: north", f"id: {'9' * 5000}", "no YAML"),
        ("id: north", f"id: {':'.join(['1'] * 200)}.5", "no YAML"),
        ("id: north", 'id: north\n"\\ud800": 1', "the tenant file"),
        ("id: north", "id: north\n7: 1", "holds a mapping"),
        ("name: North", 'name: "hunter2\\nx"', "name: expected one line of printable characters"),
        ("{1: 0.19, ", "{-1: 0.19, ", "vat_rates.-1.*greater than or equal to 0"),
        (NORTH, "- north", "holds a mapping"),
        (NORTH, "", "holds a mapping"),
    ],
)
def test_what_is_wrong_in_a_tenant_file_is_said(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in NORTH
    with pytest.raises(ConfigError, match=message) as caught:
        parse_tenant(NORTH.replace(before, after), tmp_path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None  # either would hold the file


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "s3://", "s3://KEY:hunter2@bucket/x", "file://host/x", "s3://b/x?hunter2"]
)
def test_a_place_of_files_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"source.url: expected a folder, file:///PATH or s3://BUCKET") as caught:
        parse_tenant(SOUTH.replace("url: drops ", f"url: {url} "), Path("/home/shop"))
    assert "hunter2" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    wrong = NORTH.replace("EUR", "euro").replace("locale: de", "lcale: de").replace("env:NORTH_KEY", "hunter2")
    with pytest.raises(ConfigError) as caught:
        parse_tenant(wrong.replace("  api_secret: file:north.secret\n", "").replace("0.07", "7"), tmp_path)
    problems = str(caught.value).split("; ")
    assert [problem.split()[0] for problem in problems] == [
        "currency:",
        "vat_rates.2:",
        "source.api_key:",
        "source",
        "the",
    ]
    assert "did you mean locale?" in problems[-1]


def test_facts_are_held_against_the_same_rules() -> None:
    check_facts("north", "EUR", "Europe/Berlin", {1: 0.19})
    for facts, message in (
        (("No", "EUR", "Europe/Berlin", {1: 0.19}), "lower case"),
        (("north", "eur", "Europe/Berlin", {1: 0.19}), "ISO 4217"),
        (("north", "EUR", "Berlin", {1: 0.19}), "time zone"),
        (("north", "EUR", "Europe/Berlin", {1: 19.0}), "fractions"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_facts(*facts)


def test_an_added_file_is_private_and_its_paths_mean_the_same(tmp_path: Path) -> None:
    shop, directory = tmp_path / "shop", TenantDirectory(tmp_path / "tenants")
    shop.mkdir()
    (shop / "a.yaml").write_text("\N{BOM}" + SOUTH, encoding="utf-8")
    (shop / "b.yaml").write_text(NORTH)
    (shop / "north.secret").write_text("s3cret-value")
    path = directory.add(shop / "a.yaml")
    directory.add(shop / "b.yaml")
    assert path.name == "south.yaml"
    assert {file.stat().st_mode & 0o777 for file in directory.folder.iterdir()} == {0o600}
    assert directory.ids() == ("north", "south")
    assert path.read_text(encoding="utf-8").count("# stays") == 2
    assert directory.get("south").source == FilesSource((shop / "drops").as_uri())
    assert prohandel(directory.get("north")).api_secret.reveal() == "s3cret-value"


def test_a_tenant_is_not_replaced_by_accident(tmp_path: Path) -> None:
    file, directory = tmp_path / "file.yaml", TenantDirectory(tmp_path / "tenants")
    file.write_text(NORTH)
    directory.add(file)
    file.write_text(NORTH.replace("name: North", "name: Other"))
    with pytest.raises(ConfigError, match=r"is there already as .*--replace"):
        directory.add(file)
    assert directory.get("north").name == "North"
    directory.add(file, replace=True)
    assert directory.get("north").name == "Other"
    file.write_text(NORTH.replace("EUR", "euro"))
    with pytest.raises(ConfigError, match=f"{file}: currency"):
        directory.add(file, replace=True)
    assert directory.get("north").name == "Other"
    assert [path.name for path in directory.folder.iterdir()] == ["north.yaml"]


def test_a_tenant_is_removed_whatever_its_file_holds(tmp_path: Path) -> None:
    (tmp_path / "north.yaml").write_text("nonsense")
    assert TenantDirectory(tmp_path).remove("north") == tmp_path / "north.yaml"
    with pytest.raises(UnknownTenant):
        TenantDirectory(tmp_path).remove("north")


def test_a_file_under_another_name_or_of_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "south.yaml").write_text(NORTH)
    (tmp_path / "east.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"must be north\.yaml"):
        TenantDirectory(tmp_path).get("south")
    with pytest.raises(ConfigError, match="no UTF-8"):
        TenantDirectory(tmp_path).get("east")


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
        boto3.client("secretsmanager").create_secret(Name="north/bytes", SecretBinary=b"hunter2\xff")
        with pytest.raises(ConfigError, match=r"north/bytes.*is no text") as caught:
            SecretRef.parse("aws-secret:north/bytes", tmp_path).reveal()
        assert caught.value.__context__ is None


@pytest.mark.parametrize("secret", ["*S3cretKanari99", "!S3cretKanari99 x", "&S3cretKanari99 x: y: z"])
def test_yaml_that_cannot_be_read_quotes_nothing_of_the_file(tmp_path: Path, secret: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_tenant(f"id: north\nsource:\n  api_secret: {secret}\n", tmp_path)
    assert "Kanari" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
