"""The scenario of a promotion: asked of two merchants' releases, by the job and by GraphQL."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mercurios.errors import BadRequest, NoChampion
from mercurios.jobs.promotion_scenario import PromotionScenario, Wanted, promotion_scenario
from mercurios.lake import Lake
from mercurios.serving import Session, open_session
from mercurios.tables import TABLES
from tests.api_world import ApiWorld, listening, make_world

FIRST, WEEKS = date(2024, 7, 1), 52
CUTOFF = FIRST + timedelta(days=7 * WEEKS - 1)
NEXT = CUTOFF + timedelta(days=1)
AS_OF = datetime(2025, 6, 30, 4, tzinfo=UTC)
EFFECTS = {"north": (2.0, 0.6), "south": (0.5, 1.2)}  # of a discount, and of the share in a mailer
WEEKDAYS = np.array([1.0, 0.7, 0.8, 0.9, 1.4, 2.0, 0.5])
Rows = list[dict[str, Any]]


def merchant(tenant: str) -> dict[str, Rows]:
    """Fifteen categories whose weeks follow their discounts and mailers; W00 is in a mailer next week already."""
    random, of = np.random.default_rng(len(tenant)), np.array(EFFECTS[tenant])
    sales: Rows = []
    promotions: Rows = [_promotion("W00", NEXT, 0.25)]
    for category in (f"W{number:02}" for number in range(15)):
        for week in range(WEEKS):
            monday = FIRST + timedelta(days=7 * week)
            discount, mailer = random.uniform(0, [0.3, 0.8]) * (random.random(2) < 0.5)
            factor = np.exp(of @ [discount, mailer] + random.normal(0, 0.05))
            sales += [
                _sold(category, monday + timedelta(days=day), 100 * factor * WEEKDAYS[day], discount)
                for day in range(7)
            ]
            promotions += [_promotion(category, monday, mailer)] if mailer else []
    points = [
        {"level": "category", "key": f"W{number:02}", "ds": NEXT + timedelta(days=7 * week), "mean": 1_000.0}
        | {"model": "WeightedEnsemble", "model_version": "1", "cutoff": CUTOFF}
        for number in range(15)
        for week in range(4)
    ]
    who = {"name": tenant, "currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}
    return {
        "dim_tenants": [who],
        "dim_dates": [{"day": FIRST}],
        "mart_sales_daily": sales,
        "mart_promotion_weeks": promotions,
        "forecasts": points,
    }


def _sold(category: str, on: date, revenue: float, discount: float) -> dict[str, Any]:
    paid = round(float(revenue), 2)
    worth = {"revenue": paid, "labelled_revenue": paid, "label_value": round(paid / (1 - float(discount)), 2)}
    return {"category": category, "department": "D", "branch": 1, "sold_on": on, **worth}


def _promotion(category: str, monday: date, share: float) -> dict[str, Any]:
    return {"category": category, "week_start": monday, "kind": "mailer", "share": float(share)}


def table(name: str, shops: Mapping[str, Mapping[str, Rows]]) -> pa.Table:
    schema = TABLES[name].schema
    rows = [{"tenant_id": tenant, **row} for tenant, shop in shops.items() for row in shop[name]]
    made = [{field.name: row.get(field.name) for field in schema} for row in rows]
    money = {field.name: pa.array([row[field.name] for row in made], pa.float64()).cast(field.type, safe=False)
             for field in schema if pa.types.is_decimal(field.type)}  # fmt: skip
    plain = {field.name: pa.array([row[field.name] for row in made], field.type)
             for field in schema if field.name not in money}  # fmt: skip
    return pa.table({name: (money | plain)[name] for name in schema.names}, schema=schema)


@pytest.fixture(scope="module")
def shops() -> dict[str, dict[str, Rows]]:
    return {tenant: merchant(tenant) for tenant in EFFECTS}


def published(folder: Path, shops: Mapping[str, Mapping[str, Rows]], *, without: Sequence[str] = ()) -> Lake:
    lake = Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data")
    names = [name for name in next(iter(shops.values())) if name not in without]
    lake.publish({name: table(name, shops) for name in names}, as_of=AS_OF)
    return lake


def opened(lake: Lake, tenant: str = "north") -> Session:
    return open_session(lake.reader(tenant, lake.require_current()))


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory, shops: dict[str, dict[str, Rows]]) -> Mapping[str, Session]:
    lake = published(tmp_path_factory.mktemp("lake"), shops)
    return {tenant: opened(lake, tenant) for tenant in EFFECTS}


def holds(told: PromotionScenario, effect: float) -> bool:
    return told.difference.lo80 < 1_000 * np.expm1(effect) < told.difference.hi80


@pytest.mark.parametrize("tenant", list(EFFECTS))
class TestOneTenant:
    def test_a_discount_does_what_it_did_to_this_merchant(self, sessions: Mapping[str, Session], tenant: str) -> None:
        told = promotion_scenario(sessions[tenant], Wanted("W01", NEXT + timedelta(days=9), discount=0.3))
        assert (told.week, told.cutoff, told.model) == (NEXT + timedelta(days=7), CUTOFF, "WeightedEnsemble")
        assert 0.02 < told.usual_discount < 0.15
        effect = EFFECTS[tenant][0] * (0.3 - told.usual_discount)
        assert told.effect == pytest.approx(np.expm1(effect), rel=0.3)
        assert told.effect == pytest.approx(told.difference.mean / told.forecast)
        assert holds(told, effect)
        assert told.category_weeks == 15 * 40

    def test_a_mailer_counts_beyond_what_is_planned(self, sessions: Mapping[str, Session], tenant: str) -> None:
        usual = promotion_scenario(sessions[tenant], Wanted("W00", NEXT, discount=0.0)).usual_discount
        told = promotion_scenario(sessions[tenant], Wanted("W00", NEXT, discount=usual, kind="mailer", share=0.75))
        assert told.planned_share == 0.25
        assert told.effect == pytest.approx(np.expm1(EFFECTS[tenant][1] * 0.5), rel=0.3)
        assert holds(told, EFFECTS[tenant][1] * 0.5)
        assert not told.is_beyond_history

    def test_half_a_category_at_a_discount_is_half_the_change(
        self, sessions: Mapping[str, Session], tenant: str
    ) -> None:
        whole, half = (
            promotion_scenario(sessions[tenant], Wanted("W02", NEXT, discount=0.3, share=share)) for share in (1.0, 0.5)
        )
        assert np.log1p(half.effect) == pytest.approx(np.log1p(whole.effect) / 2)

    def test_what_was_never_seen_is_said_to_be(self, sessions: Mapping[str, Session], tenant: str) -> None:
        assert promotion_scenario(sessions[tenant], Wanted("W02", NEXT, discount=0.6)).is_beyond_history
        assert promotion_scenario(sessions[tenant], Wanted("W02", NEXT, discount=0.1, kind="mailer")).is_beyond_history


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("W99", NEXT, 0.2), r"no forecast for category 'W99'; close to it: 'W"),
        (
            Wanted("W01", NEXT + timedelta(days=28), 0.2),
            r"the forecast of 'W01' has the weeks 2025-06-30 to 2025-07-21",
        ),
        (Wanted("W01", CUTOFF, 0.2), "week 2025-06-23"),
        (Wanted("W01", NEXT, 0.95), "discount 0.95: expected 0 to 0.9"),
        (Wanted("W01", NEXT, -0.1), "expected 0 to 0.9"),
        (Wanted("W01", NEXT, float("nan")), "expected 0 to 0.9"),
        (Wanted("W01", NEXT, 0.2, share=0.0), "share 0: expected above 0 up to 1"),
        (
            Wanted("W01", NEXT, 0.2, kind="poster"),
            "nothing is known of promotions of the kind 'poster'; known are mailer",
        ),
    ],
)
def test_what_cannot_be_asked(sessions: Mapping[str, Session], wanted: Wanted, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        promotion_scenario(sessions["north"], wanted)


def test_without_promotions_discounts_are_known_and_mailers_are_not(
    tmp_path: Path, shops: dict[str, dict[str, Rows]]
) -> None:
    session = opened(published(tmp_path, shops, without=("mart_promotion_weeks",)))
    assert promotion_scenario(session, Wanted("W01", NEXT, 0.3)).effect > 0.2
    with pytest.raises(BadRequest, match=r"no promotions are known; drop a file, e\.g\. promotion_26\.csv"):
        promotion_scenario(session, Wanted("W01", NEXT, 0.3, kind="mailer"))


def test_without_label_prices_mailers_are_known_and_discounts_are_not(
    tmp_path: Path, shops: dict[str, dict[str, Rows]]
) -> None:
    bare = [row | {"label_value": 0.0, "labelled_revenue": 0.0} for row in shops["north"]["mart_sales_daily"]]
    shop = shops["north"] | {"mart_sales_daily": bare}
    session = opened(published(tmp_path / "plans", {"north": shop}))
    told = promotion_scenario(session, Wanted("W01", NEXT, 0.0, kind="mailer", share=0.5))
    assert told.effect == pytest.approx(np.expm1(0.3), rel=0.6)
    with pytest.raises(
        BadRequest, match="nothing is known of discounts, label prices tell of none; ask for a kind: mailer"
    ):
        promotion_scenario(session, Wanted("W01", NEXT, 0.3))
    session = opened(published(tmp_path / "nothing", {"north": shop | {"mart_promotion_weeks": []}}))
    with pytest.raises(BadRequest, match=r"no promotions are known, and label prices tell of none.*drop a file"):
        promotion_scenario(session, Wanted("W01", NEXT, 0.3))


def test_too_little_history_and_no_forecast_say_what_to_do(tmp_path: Path, shops: dict[str, dict[str, Rows]]) -> None:
    late = [row for row in shops["north"]["mart_sales_daily"] if row["sold_on"] > CUTOFF - timedelta(days=100)]
    session = opened(published(tmp_path / "late", {"north": shops["north"] | {"mart_sales_daily": late}}))
    with pytest.raises(
        BadRequest, match="too little history to learn what promotions do: expected a series with at least"
    ):
        promotion_scenario(session, Wanted("W01", NEXT, 0.3))
    session = opened(published(tmp_path / "none", shops, without=("forecasts",)))
    with pytest.raises(NoChampion, match="run `mercurios retrain` first"):
        promotion_scenario(session, Wanted("W01", NEXT, 0.3))


# -- GraphQL --------------------------------------------------------------------------------------------------------

SCENARIO = """query($c: String!, $w: Date!, $d: Float!, $k: String, $s: Float) {
    promotionScenario(category: $c, week: $w, discount: $d, kind: $k, share: $s) {
        category week model cutoff currency forecast withPromotion effect usualDiscount plannedShare isBeyondHistory
        categoryWeeks difference { mean lo80 hi80 lo95 hi95 } caution german: caution(locale: "de-AT") } }"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, shops: dict[str, dict[str, Rows]]) -> Iterator[ApiWorld]:
    world = make_world(tmp_path_factory.mktemp("api"))
    names = ("mart_sales_daily", "mart_promotion_weeks", "forecasts", "dim_dates")
    world.lake.publish({name: table(name, shops) for name in names}, as_of=AS_OF)
    with listening(world) as running:
        yield running


@pytest.mark.parametrize("tenant", list(EFFECTS))
def test_graphql_tells_the_week_with_and_without(api: ApiWorld, tenant: str) -> None:
    told = api.ask(SCENARIO, tenant=tenant, c="W01", w="2025-07-02", d=0.25, k="mailer", s=0.5)["promotionScenario"]
    assert (told["category"], told["week"], told["currency"]) == ("W01", "2025-06-30", "USD")
    assert told["withPromotion"] == pytest.approx(told["forecast"] + told["difference"]["mean"])
    discount, mailer = EFFECTS[tenant]
    effect = discount * 0.5 * (0.25 - told["usualDiscount"]) + mailer * 0.5
    assert told["effect"] == pytest.approx(np.expm1(effect), rel=0.3)
    ends = told["difference"]
    assert ends["lo95"] < ends["lo80"] < ends["mean"] < ends["hi80"] < ends["hi95"]
    assert told["caution"].startswith("Observed, not tried")
    assert told["german"].startswith("Beobachtet, nicht erprobt")


def test_graphql_refuses_what_cannot_be(api: ApiWorld) -> None:
    for given, message in (({"c": "nothing"}, "no forecast for category"), ({"d": 2.0}, "expected 0 to 0.9")):
        code, said = api.fail(SCENARIO, **{"c": "W01", "w": "2025-07-02", "d": 0.2} | given)
        assert code == "BAD_REQUEST"
        assert message in said
