"""Onboarding: a folder of somebody's files becomes a tenant with a release, in one run."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mercurios import wiring
from mercurios.errors import SourceError, UnknownTenant, WarehouseBusy
from mercurios.jobs.ingest.tables import INGEST_TABLES
from mercurios.jobs.onboard import STEPS, Findings, Onboarding, OnboardReport, Reason, findings
from mercurios.jobs.quarantine import quarantined
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.till import fill
from tests.tiny import tiny_merchant

Row = dict[str, Any]
AS_OF = datetime(2025, 12, 31, 4, 30, tzinfo=UTC)
SHOP = """
id: huber
name: Modehaus Huber
currency: CHF
time_zone: Europe/Zurich
locale: de-CH
vat_rates: {1: 0.081, 2: 0.026}
source:
  kind: files
  url: drops
"""
BREAK: tuple[Callable[[Row], Row], ...] = (
    lambda row: row | {"salePrice": "kostenlos"},
    lambda row: row | {"salePrice": ""},
    lambda row: row | {"date": "31.02.2025"},
    lambda row: row | {"date": "gestern", "quantity": "viele"},
    lambda row: row | {"branchNumber": "Mitte"},
    lambda row: row | {"articleNumber": "4711,5"},
    lambda row: row | {"isDeleted": "vielleicht"},
    lambda row: row | {"receiptNumber": "1.23.4"},
    lambda row: row | {"id": "", "receiptPosition": ""},
    lambda row: row | {"lastChange": "12/31/2025"},
)


def german(value: object) -> object:
    if isinstance(value, bool):
        return "ja" if value else "nein"
    if isinstance(value, float):
        return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    return "" if value is None else value


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows({name: german(value) for name, value in row.items()} for row in rows)


@dataclass(frozen=True)
class Shop:
    """A merchant's folder, and what was written into it."""

    home: Path
    sound: int
    broken: int
    report: OnboardReport


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Shop]:
    """A quarter of the sale lines is broken in ten ways; there are no customers and no stock."""
    home, folder = tmp_path_factory.mktemp("onboard"), tmp_path_factory.mktemp("huber")
    entities = tiny_merchant(5, lines_a_day=4)
    sale = entities["sale"].to_dicts()
    rows = [BREAK[place // 4 % len(BREAK)](row) if place % 4 == 0 else row for place, row in enumerate(sale)]
    (folder / "drops").mkdir()
    for number in range(3):
        write(folder / "drops" / f"Sale_{number}.csv", rows[number::3])
    entities["article"].write_parquet(folder / "drops" / "articles.parquet")
    entities["branch"].write_excel(folder / "drops" / "Branch.xlsx")
    write(folder / "drops" / "category.csv", entities["category"].drop("id", "lastChange", "isDeleted").to_dicts())
    (folder / "tenant.yaml").write_text(SHOP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERCURIOS_HOME", str(home))
        from mercurios.__main__ import app

        done = CliRunner().invoke(app, ["tenant", "add", "--check", str(folder / "tenant.yaml")])
        assert done.exit_code == 0, done.output
        from flows.onboard import onboard

        report = onboard("huber", AS_OF)
        broken = sum(place % 4 == 0 for place in range(len(rows)))
        yield Shop(home, len(rows) - broken, broken, report)


def test_a_merchant_nobody_tuned_for_gets_a_release_in_one_run(shop: Shop) -> None:
    report = shop.report
    assert [(step.name, step.status) for step in report.steps] == [(name, "done") for name in STEPS]
    assert report.findings.rows == {"branch": 4, "category": 9, "article": 30, "sale": shop.sound}
    assert report.findings.quarantined == {"sale": shop.broken}
    assert report.release == wiring.open_lake().require_current().id
    assert report.quality is not None
    assert 0.5 < report.quality < 0.95


def test_every_broken_row_is_in_quarantine_with_its_reasons(shop: Shop) -> None:
    with wiring.open_warehouse(read_only=True) as warehouse:
        held = quarantined(warehouse, "huber")
    assert len(held) == shop.broken
    kinds = Counter(tuple(reason.split(",")[0] for reason in each.reasons) for each in held)
    assert set(kinds) == {
        ("salePrice: expected number",),
        ("date: expected timestamp",),
        ("quantity: expected number", "date: expected timestamp"),
        ("branchNumber: expected integer",),
        ("articleNumber: expected integer",),
        ("isDeleted: expected boolean",),
        ("receiptNumber: expected integer",),
        ("id: expected text",),
        ("lastChange: expected timestamp",),
    }


def test_what_the_report_tells(shop: Shop) -> None:
    found, text = shop.report.findings, shop.report.text
    assert sum(each.records for each in found.reasons if each.reason.startswith("salePrice: expected number, got null"))
    assert {each.entity for each in found.reasons} == {"sale"}
    assert Reason("sale", "articleNumber: expected integer, got another number", shop.broken // 10) in found.reasons
    assert f"Release {shop.report.release}, quality" in text
    assert "| connect | done | files of " in text
    assert f"| sale | {shop.sound:,} | {shop.broken:,} |" in text
    for secret in ("kostenlos", "vielleicht", "gestern"):  # values that were not read are no part of a report
        assert secret not in text


def test_the_run_leaves_its_report_and_a_limit_of_one_ingest(shop: Shop) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        reports = [artifact.data for artifact in client.read_artifacts() if artifact.key == "onboard-huber"]
        limit = client.read_global_concurrency_limit_by_name("mercurios-ingest-huber")
    assert shop.report.text in reports
    assert (limit.limit, limit.active) == (1, True)


def test_to_onboard_again_reads_no_file_twice(shop: Shop) -> None:
    from flows.onboard import onboard

    again = onboard("huber", AS_OF.replace(hour=5))
    assert again.findings == replace(shop.report.findings, drift=())
    load = next(step for step in again.steps if step.name == "load")
    assert load.detail.startswith("0 rows, 0 quarantined")


def test_a_step_that_fails_is_named_and_reported(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client

    from flows.onboard import onboard

    def refuse(_tenant: object) -> str:
        raise SourceError("the key is refused")

    monkeypatch.setattr(wiring, "try_source", refuse)
    with pytest.raises(SourceError, match="the key is refused") as caught:
        onboard("huber", AS_OF)
    assert caught.value.__notes__[0].startswith("onboarding huber failed at connect: ")
    for nobody in ("nobody", "../No Body"):
        with pytest.raises(UnknownTenant, match=f"no tenant '{nobody}'"):
            onboard(nobody, AS_OF)
    with get_client(sync_client=True) as client:
        reports = {artifact.key: str(artifact.data) for artifact in client.read_artifacts()}
    assert "| validate | failed | no tenant 'nobody'; known: huber" in reports["onboard-nobody"]
    assert "| load | not reached |" in reports["onboard-nobody"]


def test_steps_are_told_in_order_and_what_fails_says_what_to_do() -> None:
    onboarding = Onboarding("north")
    with onboarding.step("validate") as note:
        note("North")
        note("EUR")
    assert (onboarding.has_loaded, onboarding.has_failed) == (False, False)
    error = SourceError("no answer")
    with pytest.raises(SourceError) as caught, onboarding.step("load"):
        raise error
    assert caught.value is error
    assert str(error) == "no answer"
    assert (onboarding.has_loaded, onboarding.has_failed) == (True, True)
    (note,) = error.__notes__
    assert STEPS["load"] in note
    assert "`mercurios tenant onboard north` again" in note
    report = onboarding.report()
    statuses = ["done", "not reached", "not reached", "failed", *["not reached"] * 3]
    assert [step.status for step in report.steps] == statuses
    assert (report.steps[0].detail, report.steps[3].detail) == ("North; EUR", "no answer")
    assert "Release none\n" in report.text


@pytest.mark.parametrize("error", [ValueError("CANARY 4711"), KeyboardInterrupt("CANARY 4711")])
def test_an_error_nobody_meant_fails_its_step_and_is_told_by_its_type_only(error: BaseException) -> None:
    onboarding = Onboarding("north")
    with pytest.raises(type(error)) as caught, onboarding.step("validate"):
        raise error
    assert caught.value is error
    report = onboarding.report()
    assert (report.steps[0].status, report.steps[0].detail) == ("failed", type(error).__name__)
    assert "CANARY" not in report.text


def test_findings_count_one_tenants_rows_and_read_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    with DuckDBWarehouse.open("duckdb:///:memory:") as warehouse:
        warehouse.ensure(*INGEST_TABLES)
        fill(warehouse)
        rows = warehouse.rows
        monkeypatch.setattr(warehouse, "rows", lambda table, name: (read.append(table.name), rows(table, name))[1])
        found = {name: findings(warehouse, name, AS_OF).rows for name in ("north", "south")}
    of_north = {"branch": 2, "category": 4, "article": 3, "customer": 3, "sale": 6, "promotion": 4, "factor": 4}
    assert found["north"] == of_north
    assert found["south"] == {"branch": 1, "category": 1, "article": 1, "sale": 1, "promotion": 1, "factor": 1}
    assert not [name for name in read if name.startswith("raw.")]


def test_a_warehouse_that_fails_is_passed_over_only_after_a_step_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.onboard import _findings

    def busy() -> None:
        raise WarehouseBusy("another process has it")

    monkeypatch.setattr(wiring, "open_warehouse", busy)
    onboarding = Onboarding("north")
    with onboarding.step("load"):
        pass
    with pytest.raises(WarehouseBusy):
        _findings(onboarding, "north", AS_OF)
    with pytest.raises(SourceError), onboarding.step("measure"):
        raise SourceError("no answer")
    assert _findings(onboarding, "north", AS_OF) == Findings()


def test_a_report_is_a_table_whatever_it_holds() -> None:
    found = Findings({"sale": 1_234_567}, {"sale": 1}, (Reason("sale", "a | b\nc", 1),), ("sale.x new (info): y",))
    text = OnboardReport("north", (), found, 0.98765, "r1").text
    assert "| sale | 1,234,567 | 1 |" in text
    assert "| sale | a / b c | 1 |" in text
    assert "Release r1, quality 98.77%" in text
    assert text.endswith("- sale.x new (info): y\n")
