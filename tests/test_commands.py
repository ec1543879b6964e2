"""Commands on a real warehouse: `mercurios quarantine …`, and what `mercurios ingest` refuses."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mercurios import running, wiring
from mercurios.__main__ import app
from mercurios.config import ROOT, child_environment
from mercurios.errors import BadRequest, ConfigError, MercuriosError, UnknownTenant
from mercurios.jobs.ingest import Extent, Run, ingest
from mercurios.sources.contracts import CONTRACTS, Kind
from tests.listed import ListSource, label

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
LABEL = CONTRACTS["label"]
NARROW = replace(LABEL, kept=tuple(replace(f, kind=Kind.INTEGER) if f.name == "name" else f for f in LABEL.kept))
"""The contract before it was mended: it takes a name for a number."""
TENANT = """
id: {id}
name: {id}
currency: EUR
time_zone: Europe/Berlin
vat_rates: {{}}
source: {{kind: files, url: drops}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two merchants' labels, all broken: north has two that only the contract broke and one that is; south has one."""
    monkeypatch.setenv("MERCURIOS_HOME", str(tmp_path))
    (tmp_path / "tenants").mkdir()
    records: dict[str, list[object]] = {
        "north": [label("a", name="Größe"), label("b", name="x"), label("c", number="three")],
        "south": [label("a", name="south's own")],
    }
    with wiring.open_warehouse() as warehouse:
        for name, labels in records.items():
            (tmp_path / "tenants" / f"{name}.yaml").write_text(TENANT.format(id=name))
            source = ListSource({"label": labels}, name, {**CONTRACTS, "label": NARROW})
            run = Run(AT, tmp_path / "spool", Extent(("label",)))
            ingest(source, wiring.tenants().get(name), warehouse, run)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def told(*arguments: str) -> str:
    """What a command prints; it succeeds."""
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def listed(tenant: str, *more: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(told("quarantine", "list", "-t", tenant, "--json", *more))
    return rows


def refused(*arguments: str) -> MercuriosError:
    error = run(*arguments).exception
    assert isinstance(error, MercuriosError)
    return error


def test_the_quarantine_is_listed_for_people_and_for_programs(home: Path) -> None:
    rows = {row["record_id"]: row for row in listed("north")}
    assert rows.keys() == {"a", "b", "c"}
    assert rows["a"]["reasons"] == ["name: expected integer, got other text"]
    assert [row["record_id"] for row in listed("south")] == ["a"]
    assert {row["number"] for row in listed("south")}.isdisjoint(row["number"] for row in rows.values())
    text = told("quarantine", "list", "-t", "north")
    for row in rows.values():
        assert row["number"] in text
        assert row["reasons"][0] in text
    assert "3 of 3 quarantined records" in text
    assert "south's own" not in text
    assert len(listed("north", "--limit", "1")) == 1
    assert listed("north", "-e", "sale") == []


def test_one_record_is_shown_with_its_payload_to_its_own_tenant_only(home: Path) -> None:
    number = next(row["number"] for row in listed("north") if row["record_id"] == "a")
    shown = json.loads(told("quarantine", "show", number, "-t", "north"))
    assert shown["record"] == label("a", name="Größe")
    assert isinstance(refused("quarantine", "show", number, "-t", "south"), BadRequest)


def test_a_replay_takes_in_what_the_contract_of_today_takes(home: Path) -> None:
    text = told("quarantine", "replay", "-t", "north", "-e", "label")
    assert "3 tried, 2 loaded, 1 still broken" in text
    assert [row["record_id"] for row in listed("north")] == ["c"]
    every = {row["record_id"]: row["resolved_by"] for row in listed("north", "--all")}
    assert every["a"] in text
    assert every["c"] is None
    assert "resolved by" in told("quarantine", "list", "-t", "north", "--all")
    assert len(listed("south")) == 1
    with wiring.open_warehouse(read_only=True) as warehouse:
        assert {name: warehouse.count("raw.prohandel_label", name) for name in ("north", "south")} == {
            "north": 2,
            "south": 0,
        }
    assert "nothing is in quarantine" in told("quarantine", "replay", "-t", "south", "-e", "sale")


def test_what_is_dismissed_is_told_with_its_reason(home: Path) -> None:
    first, second = (row["number"] for row in listed("north")[:2])
    text = told("quarantine", "dismiss", first, second[:6], "-t", "north", "--reason", "in the corrected file")
    assert [line.split()[0] for line in text.splitlines() if "dismissed" in line and "[info" not in line] == [
        first,
        second,
    ]
    assert first not in {row["number"] for row in listed("north")}
    assert "  dismissed: in the corrected file" in told("quarantine", "list", "-t", "north", "--all")
    assert len(listed("south")) == 1


def test_the_fields_of_a_file_are_listed(home: Path) -> None:
    lines = [line.split(maxsplit=2) for line in told("tenant", "fields", "sale").splitlines()]
    assert ["salePrice", "number", "must"] in lines
    assert ["labelPrice", "number", "may"] in lines
    assert ["lastChange", "timestamp", "may; else the time of the file"] in lines
    assert told("tenant", "fields").splitlines() == list(CONTRACTS)
    assert "left behind" in told("tenant", "fields", "customer")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("quarantine", "list", "-t", "nobody"), UnknownTenant, "known: north, south"),
        (("quarantine", "list", "-t", "north", "-e", "sael"), BadRequest, "unknown entity 'sael'"),
        (("quarantine", "replay", "-t", "north", "-e", "sael"), BadRequest, "unknown entity 'sael'"),
        (("quarantine", "show", "zz", "-t", "north"), BadRequest, "none begins with 'zz'"),
        (("quarantine", "dismiss", "zz", "-t", "north", "--reason", "x"), BadRequest, "none begins with 'zz'"),
        (("ingest", "-t", "north", "-t", "wrong"), UnknownTenant, "no tenant 'wrong'; known: north, south"),
        (("ingest", "-e", "sales"), BadRequest, "unknown entity 'sales'; did you mean sale?"),
        (("retrain", "-t", "wrong"), UnknownTenant, "no tenant 'wrong'"),
        (("propose", "-t", "wrong"), UnknownTenant, "no tenant 'wrong'"),
        (("index", "-t", "wrong"), UnknownTenant, "no tenant 'wrong'"),
        (("pipeline", "-t", "wrong"), UnknownTenant, "no tenant 'wrong'"),
        (("tenant", "onboard", "wrong"), UnknownTenant, "no tenant 'wrong'"),
        (("tenant", "fields", "sales"), BadRequest, "did you mean sale?"),
        (("ingest", "--days", "../.."), BadRequest, "--full reads everything"),
        (("ingest", "--full", "--days", "2026-01-01/2026-02-01"), BadRequest, "got both; say one of them"),
        (("ingest", "--days", "2026-02-01/2026-01-01"), BadRequest, "holds no day"),
    ],
)
def test_what_cannot_be_done_is_said(
    home: Path,
    arguments: tuple[str, ...],
    kind: type[MercuriosError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mercurios.running._prefect", lambda: pytest.fail("Prefect was started"))
    error = refused(*arguments)
    assert type(error) is kind
    assert message in str(error)


def test_help_says_what_days_cannot_do() -> None:
    text = " ".join(told("ingest", "--help").replace("│", " ").split())
    assert "Where the API has no filter by day, or the entity no days, everything is read." in text


def test_notes_of_an_error_are_told_on_its_line() -> None:
    code = (
        "import mercurios.__main__ as cli\n"
        "from mercurios.errors import SourceError\n"
        "def app():\n"
        "    error = SourceError('the key is refused')\n"
        "    error.add_note('look at the tenant file')\n"
        "    raise error\n"
        "cli.app = app\n"
        "cli.main()\n"
    )
    command = (sys.executable, "-c", code)
    done = subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "mercurios: the key is refused; look at the tenant file\n")


def test_quality_tells_scores_failures_and_promises_of_the_merchant_that_was_named(home: Path) -> None:
    first, *rest = measured("-t", "north")
    assert first == "north: 0.00 % of the records are sound, 98.00 % promised (the default; `sla` in the tenant file)"
    assert any("label" in line and "3 quarantined" in line for line in rest)
    assert any(line.startswith("  not kept: ") for line in rest)
    assert all(line.startswith("  ") for line in rest)
    assert {line.split(":")[0] for line in measured() if not line.startswith(" ")} == {"north", "south"}


def measured(*arguments: str) -> list[str]:
    """What the command prints; its log lines go elsewhere but in tests."""
    return [line for line in told("quality", *arguments).splitlines() if "[info" not in line]


def test_quality_of_nobody_is_refused(home: Path) -> None:
    assert isinstance(run("quality", "-t", "nobody").exception, UnknownTenant)


@pytest.mark.parametrize("asked", [(), ("--from-scratch",)])
def test_transform_builds_from_scratch_when_asked(asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, object]] = []

    def run_flow(name: str, *_: object, **parameters: object) -> SimpleNamespace:
        given.append({"flow": name, **parameters})
        return SimpleNamespace(breaches=())

    monkeypatch.setattr(running, "run_flow", run_flow)
    told("transform", *asked)
    assert given == [{"flow": "transform", "from_scratch": bool(asked)}]


# mercurios key, and who may ask by the settings


def test_a_key_is_made_shown_once_listed_and_taken_back(home: Path) -> None:
    done = run("key", "create", "-t", "north", "--label", "price labels", "--role", "analyst", "--days", "7")
    assert done.exit_code == 0
    text = done.stdout.strip()
    identity = wiring.api_keys().identify(text)
    assert (identity.tenant, identity.role) == ("north", "analyst")
    assert identity.subject in done.stderr
    listed_keys = told("key", "list")
    assert text[16:] not in listed_keys + told("key", "list", "--json") + done.stderr
    assert re.search(rf"{identity.subject}  north +analyst +until .* valid +price labels", listed_keys)
    assert "is revoked" in told("key", "revoke", identity.subject)
    [row] = json.loads(told("key", "list", "--json"))
    assert (row["tenant"], row["role"], row["label"], row["state"]) == ("north", "analyst", "price labels", "revoked")
    lifetime = datetime.fromisoformat(row["expires_at"]) - datetime.fromisoformat(row["created_at"])
    assert lifetime.days == 7


def test_keys_that_cannot_be_made_or_taken_back(home: Path) -> None:
    assert "no API keys" in told("key", "list")
    assert "no tenant 'west'" in str(refused("key", "create", "-t", "west", "--label", "x"))
    assert "role 'king'" in str(refused("key", "create", "-t", "north", "--label", "x", "--role", "king"))
    assert "no API key" in str(refused("key", "revoke", "0123456789ab"))


def test_a_tenant_that_is_removed_takes_its_keys_along(home: Path) -> None:
    texts = {name: told("key", "create", "-t", name, "--label", "x") for name in ("north", "south")}
    assert "1 API keys of it are revoked" in told("tenant", "remove", "north", "--yes")
    assert [key.state(datetime.now(UTC)) for key in wiring.api_keys().all()].count("valid") == 1
    assert texts.keys() == {"north", "south"}


def test_with_a_provider_tokens_of_our_own_are_neither_made_nor_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wiring.open_access().provider is None
    monkeypatch.setenv("MERCURIOS_OIDC_ISSUER", "https://idp.example")
    with pytest.raises(ConfigError, match="set MERCURIOS_OIDC_AUDIENCE"):
        wiring.open_access()
    monkeypatch.setenv("MERCURIOS_OIDC_AUDIENCE", "api://mercurios")
    assert wiring.open_access().provider is not None
    assert "tokens of https://idp.example alone" in str(refused("token", "-t", "north"))
    monkeypatch.setenv("MERCURIOS_OIDC_ISSUER", "http://idp.example")
    with pytest.raises(ConfigError, match="expected https"):
        wiring.open_access()
