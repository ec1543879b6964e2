"""`mercurios model …`: two merchants retrained on two nights; one goes back, and only its readers see it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from click.testing import Result
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from mercurios import wiring
from mercurios.__main__ import app
from mercurios.errors import BadRequest, ModelError, NoChampion
from mercurios.jobs.realized import realized
from mercurios.jobs.retrain import Specs, retrain
from mercurios.jobs.rollback import roll_back
from mercurios.lake import Lake, PublishConflict, Release
from mercurios.registry import CHALLENGER, CHAMPION, WITHDRAWN, Registry
from mercurios.serving import Sessions, open_session
from mercurios.tables import TABLES
from tests.test_retrain import AS_OF, SPECS, daily, frame, lines

TENANT = """
id: {id}
name: {id}
currency: EUR
time_zone: Europe/Berlin
vat_rates: {{}}
source: {{kind: files, url: drops}}
"""
NAME = "north.forecast.branch"


@dataclass(frozen=True)
class Nights:
    """What stores hold after two nights, and the forecasts that were published in each."""

    home: Path
    lake: Lake
    registry: Registry
    before: dict[str, pl.DataFrame]
    after: dict[str, pl.DataFrame]


def few_methods() -> Specs:
    """As many as it takes."""
    levels = {
        name: level.model_copy(update={"candidates": {n: c for n, c in level.candidates.items() if n != without}})
        for (name, level), without in zip(SPECS.forecast.levels.items(), ("AutoETS", ""), strict=True)
    }
    tops = {name: one for name, one in SPECS.recommender.candidates.items() if name != "PersonalALS"}
    forecast = SPECS.forecast.model_copy(update={"levels": levels})
    return Specs(forecast, SPECS.recommender.model_copy(update={"candidates": tops}))


def mart(name: str, shops: dict[str, pl.DataFrame]) -> pa.Table:
    """Rows of all merchants in the columns of a published table; what was not told is empty."""
    schema = TABLES[name].schema
    rows = pl.concat([rows.with_columns(tenant_id=pl.lit(tenant)) for tenant, rows in shops.items()]).to_dicts()
    made = [{field.name: row.get(field.name, _empty(field.type)) for field in schema} for row in rows]
    return pa.Table.from_pylist(made, schema=schema)


def _empty(kind: pa.DataType) -> object:
    return (
        ""
        if pa.types.is_string(kind)
        else False
        if pa.types.is_boolean(kind)
        else 0
        if pa.types.is_integer(kind)
        else None
    )


def forecasts(lake: Lake, tenant: str) -> pl.DataFrame:
    rows = frame(lake.reader(tenant, lake.require_current()).table("forecasts"))
    return rows.sort("level", "key", "ds")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERCURIOS_HOME", str(home))
        (home / "tenants").mkdir()
        for name in ("north", "south"):
            (home / "tenants" / f"{name}.yaml").write_text(TENANT.format(id=name))
        lake, registry = wiring.open_lake(), wiring.open_registry()
        seen = []
        for night in range(2):
            publish_marts(lake, days=night)
            for tenant in ("north", "south"):
                session = open_session(lake.reader(tenant, lake.require_current()))
                report = retrain(session, registry, as_of=AS_OF, specs=few_methods())
                lake.publish(report.tables, as_of=AS_OF, tenants=(tenant,), base=session.release)
            seen.append({tenant: forecasts(lake, tenant) for tenant in ("north", "south")})
        yield Nights(home, lake, registry, *seen)


def publish_marts(lake: Lake, *, days: int) -> Release:
    """The merchants' marts; on the second night they have sold a tenth more throughout."""
    who = pl.DataFrame({"name": ["x"], "currency": ["EUR"], "time_zone": ["Europe/Berlin"], "locale": ["de"]})
    more = pl.col("revenue") * (1 + 0.1 * days)
    sales = {
        t: daily(n, n).with_columns(more.round(2).cast(pl.Decimal(18, 2))) for n, t in enumerate(("north", "south"), 1)
    }
    receipts = {t: lines(n, 1000 * n).with_row_index("line") for n, t in enumerate(("north", "south"), 1)}
    day = pl.DataFrame({"day": [date(2025, 5, 1)], "holiday": ["Tag der Arbeit"]})
    tables = {
        "dim_dates": mart("dim_dates", {"north": day, "south": day}),
        "dim_tenants": mart("dim_tenants", {"north": who, "south": who}),
        "mart_sales_daily": mart("mart_sales_daily", sales),
        "fct_sale_lines": mart("fct_sale_lines", receipts),
    }
    return lake.publish(tables, as_of=AS_OF)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["model", *arguments])


def told(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_a_reader_gets_the_former_forecasts_within_seconds_and_nobody_else_does(nights: Nights) -> None:
    sessions = Sessions(nights.lake, refresh_seconds=0.0)
    one = "select mean from marts.forecasts where level = 'branch' order by key, ds"
    held = sessions.get("north").query(one)
    marts = sessions.get("north").query("select sum(revenue) from marts.mart_sales_daily")
    started = time.monotonic()
    output = told("rollback", NAME, "--reason", "far too high", "--yes")
    assert "version 1 is champion instead of 2" in output
    served = sessions.get("north").query(one)
    assert time.monotonic() - started < 60
    assert served != held
    assert served["mean"].to_pylist() == nights.before["north"].filter(level="branch")["mean"].to_list()
    assert_frame_equal(
        forecasts(nights.lake, "north").filter(level="branch"), nights.before["north"].filter(level="branch")
    )
    other = pl.col("level") != "branch"
    assert_frame_equal(forecasts(nights.lake, "north").filter(other), nights.after["north"].filter(other))
    assert_frame_equal(forecasts(nights.lake, "south"), nights.after["south"])
    assert sessions.get("north").query("select sum(revenue) from marts.mart_sales_daily") == marts, "data stay"
    north, south = nights.registry.champion(NAME), nights.registry.champion("south.forecast.branch")
    assert (north.version, north.reason) == (1, "rolled back from version 2: far too high")
    assert (south.version, nights.registry.history("south.forecast.branch")) == (2, (1, 2))
    assert nights.registry.versions(NAME)[1].tags[WITHDRAWN] == "far too high"


def test_what_was_rolled_back_can_be_brought_back_by_its_number(nights: Nights) -> None:
    name = "south.forecast.category"
    assert "version 1 is champion instead of 2" in told("rollback", name, "--yes")
    assert "version 2 is champion instead of 1" in told("rollback", name, "--to", "2", "--yes")
    assert_frame_equal(forecasts(nights.lake, "south"), nights.after["south"])
    assert nights.registry.history(name) == (1, 2, 1, 2)


def test_a_recommender_goes_back_as_well(nights: Nights) -> None:
    name = "south.recommender"
    before = nights.lake.require_current()
    done = roll_back(name, nights.lake, nights.registry, reason="by hand")
    rows = frame(nights.lake.reader("south", done.release).table("recommendations"))
    assert set(rows["model_version"]) == {str(done.champion.version)} != {str(done.instead_of.version)}
    north = [nights.lake.reader("north", release).table("recommendations") for release in (before, done.release)]
    assert north[0] == north[1]
    assert done.release.table("forecasts") == before.table("forecasts")


def test_what_cannot_be_gone_back_to_changes_nothing(nights: Nights) -> None:
    before = nights.lake.require_current()
    for arguments, error in (
        (("nobody.forecast.branch",), NoChampion),
        (("north.forecast.category", "--to", "99"), ModelError),
        (("north.prices",), NoChampion),
    ):
        assert isinstance(run("rollback", *arguments, "--yes").exception, error), arguments
    with pytest.raises(BadRequest, match=r"expected TENANT\.forecast\.LEVEL"):
        roll_back("north.prices", nights.lake, nights.registry, reason="")
    assert run("rollback", "north.forecast.category").exit_code == 1, "nobody said yes"
    assert nights.lake.require_current() == before


def test_when_somebody_publishes_meanwhile_the_champion_stays_until_it_is_run_again(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, registry = "north.forecast.category", nights.registry
    real = registry.read

    def slow(*arguments: object) -> bytes:
        publish_marts(nights.lake, days=1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "read", slow)
    stale = nights.lake.require_current()
    monkeypatch.setattr(nights.lake, "require_current", lambda: stale)
    with pytest.raises(PublishConflict):
        roll_back(name, nights.lake, registry, reason="x")
    monkeypatch.undo()
    assert registry.champion(name).version == 2


def test_models_are_listed_and_shown_with_their_reasons(nights: Nights) -> None:
    rows = json.loads(told("list", "-t", "north", "--json"))
    assert {row["name"] for row in rows} == {NAME, "north.forecast.category", "north.recommender"}
    assert all(row["aliases"] == [CHAMPION] for row in rows if row["reason"].startswith("rolled back"))
    text = told("list")
    assert "south.forecast.branch" in text
    assert "AutoETS" in text
    shown = told("show", "south.forecast.branch")
    assert "passed no leakage: with all after the cutoff changed" in shown
    assert "champions so far: 1, 2" in shown
    assert json.loads(told("show", "south.forecast.branch", "--json"))["champions"] == [1, 2]
    assert isinstance(run("show", "nobody.forecast.branch").exception, NoChampion)


def test_a_version_tells_how_it_did_once_the_truth_had_come(nights: Nights) -> None:
    point = {"level": "branch", "key": "1", "ds": date(2025, 6, 2), "cutoff": date(2025, 6, 1)}
    scored = {"y": Decimal(200), "lo80": 100.0, "hi80": 250.0, "role": CHAMPION, "model_version": "2"}
    rows = pl.DataFrame(
        [
            {**point, **scored, "mean": 220.0},
            {**point, **scored, "mean": 200.0, "ds": date(2025, 6, 3)},
            {**point, **scored, "mean": 210.0, "role": CHALLENGER, "model_version": "3"},
            {**point, **scored, "mean": 100.0, "role": CHALLENGER, "model_version": "3", "ds": date(2025, 6, 4)},
            {**point, **scored, "mean": 0.0, "level": "category"},
        ]
    )
    none = rows.filter(level="category").with_columns(y=pl.lit(0, pl.Decimal(18, 2)), lo80=None, level=pl.lit("branch"))
    made = mart("mart_forecast_accuracy", {"north": rows, "south": none})
    nights.lake.publish({"mart_forecast_accuracy": made}, as_of=AS_OF)
    champion, challenger = realized(NAME, nights.lake).to_dicts()
    assert champion == {
        "model_version": "2",
        "role": CHAMPION,
        "forecasts": 2,
        "wape": pytest.approx(0.05),
        "bias": pytest.approx(0.05),
        "coverage80": 1.0,
        "rivals": 0,
        "rival_wape": None,
    }
    assert (challenger["wape"], challenger["rivals"]) == (pytest.approx(110 / 400), 1)
    assert challenger["rival_wape"] == pytest.approx(0.1), "only where both forecast the same from the same day"
    line = "since then as champion: WAPE 5.0% over 2 forecasts, bias 5.0%, 100.0% in the 80 % interval"
    assert line in told("show", NAME)
    assert json.loads(told("show", NAME, "--json"))["realized"][0]["rival_wape"] is None
    [south] = realized("south.forecast.branch", nights.lake).to_dicts()
    assert (south["forecasts"], south["wape"], south["coverage80"]) == (1, None, None)
    assert "WAPE unknown" in told("show", "south.forecast.branch")
    assert realized("north.recommender", nights.lake).is_empty()
