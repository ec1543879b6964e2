"""Masters, customers and stock of the Complete Journey in the API's fields."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from mercurios.sandbox.identity import mixed, uuids
from mercurios.sandbox.sales import FUEL_COST_PERCENT, fractions
from mercurios.sandbox.shapes import SHAPES

FUEL = "GASOLINE-REG UNLEADED"
STOCK_DAYS = 28
CATEGORY_RULE = (
    "one row for each department, product_category and whether it holds gasoline, under one row for each department; "
    "isServiceCategory marks the rows that hold gasoline; taxNumber is 2 for departments of food, else 1."
)
STOCK_RULE = (
    f"one row for each article with a master row and branch that sold it in the last {STOCK_DAYS} days of the data, "
    "without fuel; stockQuantity is half of the units of those days, rounded up; purchasePrice, salePrice and "
    "labelPrice are cost, sales value and last label price per unit of those days; number = articleNumber (one size)."
)
_FOOD = frozenset(
    {
        *("CHEF SHOPPE", "DELI", "FROZEN GROCERY", "GROCERY", "MEAT", "MEAT-PCKGD", "NUTRITION"),
        *("PASTRY", "PRODUCE", "RESTAURANT", "SALAD BAR", "SEAFOOD", "SEAFOOD-PCKGD"),
    }
)
_BRANDS = {"National": 1, "Private": 2}
_SEASON = 17
_OPENED = datetime(2017, 1, 1)


def products(master: pl.DataFrame) -> pl.DataFrame:
    """The package's products plus category numbers, is_fuel and cost_percent. One row per product_id.

    A department's number is a multiple of 10; its categories are that number times 1,000 plus 1, 2, 3 in order of name.
    """
    named = master.with_columns(
        category=pl.col("product_category").fill_null(""),
        is_fuel=pl.col("product_type").eq_missing(pl.lit(FUEL)),
        main=pl.col("department").rank("dense").cast(pl.Int32) * 10,
    )
    groups = (
        named.select("department", "category", "is_fuel", "main").unique().sort("department", "category", "is_fuel")
    )
    groups = groups.with_columns(
        number=pl.col("main") * 1_000 + pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("department")
    )
    share = 55 + mixed("cost", groups["number"].to_numpy().astype(np.uint64)) % np.uint64(26)
    percent = pl.when("is_fuel").then(FUEL_COST_PERCENT).otherwise(pl.Series(share.astype(np.int64)))
    groups = groups.with_columns(cost_percent=percent)
    return named.join(groups.drop("main"), on=["department", "category", "is_fuel"], how="left")


def masters(merchant: str, sale: pl.DataFrame, products: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every entity but sale, each with rows by number ascending; only what the merchant sold or sold to."""
    article = _articles(sale, products)
    sold = products.filter(pl.col("product_id").is_in(article["number"].implode()))
    frames = {
        "article": article,
        "articlesize": _stock(sale, products),
        "branch": _branches(sale),
        "category": _categories(sold),
        "customer": _customers(sale),
        "supplier": _suppliers(sold),
        **_lists(),
    }
    for entity, frame in frames.items():
        yield entity, _identified(merchant, entity, frame)


def _per_unit(amount: str) -> pl.Expr:
    units = pl.col("quantity").sum()
    return pl.when(units > 0).then((pl.col(amount).sum() / units).round(2)).otherwise(0.0)


def _traded(sale: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Units, prices per unit and first and last sale of every article (and branch) in `sale`."""
    labels = sale.filter(pl.col("labelPrice") > 0).group_by(by).agg(pl.col("labelPrice").sort_by("lastChange").last())
    return (
        sale.group_by(by)
        .agg(
            units=pl.col("quantity").sum(),
            purchasePrice=_per_unit("purchasePrice"),
            price=_per_unit("salePrice"),
            firstSaleDate=pl.col("date").min(),
            lastSaleDate=pl.col("date").max(),
            lastChange=pl.col("lastChange").max().dt.truncate("1s"),
        )
        .join(labels, on=by, how="left")
        .with_columns(pl.col("labelPrice").fill_null(0.0))
    )


def _articles(sale: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    """One row per sold product that is in the master; sold products without a master row stay without an article."""
    master = products.with_columns(articleNumber=pl.col("product_id").cast(pl.Int32))
    return (
        _traded(sale, ["articleNumber"])
        .join(master, on="articleNumber")
        .select(
            *("purchasePrice", "price", "labelPrice", "firstSaleDate", "lastSaleDate", "lastChange"),
            number="product_id",
            categoryNumber="number",
            supplierNumber="manufacturer_id",
            manufacturerNumber="manufacturer_id",
            text1=pl.col("product_type").fill_null(""),
            text2=pl.col("package_size").fill_null(""),
            text3=pl.col("brand").fill_null(""),
            labelNumber=pl.col("brand").replace_strict(_BRANDS, default=0),
            seasonNumber=pl.lit(_SEASON),
            currencyNumber=pl.lit("USD"),
            isActive=pl.lit(True),
        )
        .sort("number")
    )


def _stock(sale: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    last: date = sale.select(pl.col("date").max()).item()
    goods = products.filter(~pl.col("is_fuel"))["product_id"].cast(pl.Int32).implode()
    recent = sale.filter(pl.col("date") > last - timedelta(days=STOCK_DAYS), pl.col("articleNumber").is_in(goods))
    return (
        _traded(recent, ["articleNumber", "branchNumber"])
        .select(
            *(
                "branchNumber",
                "articleNumber",
                "purchasePrice",
                "labelPrice",
                "firstSaleDate",
                "lastSaleDate",
                "lastChange",
            ),
            number="articleNumber",
            salePrice="price",
            stockQuantity=(pl.col("units") + 1) // 2,
            currencyNumber=pl.lit("USD"),
        )
        .sort("number", "branchNumber")
    )


def _branches(sale: pl.DataFrame) -> pl.DataFrame:
    branches = sale.group_by(number="branchNumber").agg(pl.col("lastChange").max().dt.truncate("1s")).sort("number")
    return branches.with_columns(
        name1=pl.format("Store {}", "number"),
        countryNumber=pl.lit("USA"),
        isActive=pl.lit(True),
        isWebshop=pl.lit(False),
    )


def _categories(sold: pl.DataFrame) -> pl.DataFrame:
    """Categories of the sold products and, as rows of the same kind, their departments. One row per number."""
    departments = sold.select("department", number="main", name="department", main="main", is_fuel=pl.lit(False))
    groups = sold.select("department", "number", "main", "is_fuel", name="category")
    rows = pl.concat([departments.select(groups.columns), groups]).unique().sort("number")
    return rows.select(
        "number",
        "name",
        generalCategoryNumber="main",
        mainCategoryNumber="main",
        taxNumber=pl.when(pl.col("department").is_in(_FOOD)).then(2).otherwise(1),
        isServiceCategory="is_fuel",
        lastChange=pl.lit(_OPENED, dtype=pl.Datetime("ns")),
    )


def _customers(sale: pl.DataFrame) -> pl.DataFrame:
    """One row per household, by number; its branch is the one of its first purchase."""
    return (
        sale.group_by(number="customerNumber")
        .agg(
            branchNumber=pl.col("branchNumber").sort_by("lastChange").first(),
            creationDate=pl.col("date").min(),
            lastChange=pl.col("lastChange").max().dt.truncate("1s"),
        )
        .sort("number")
    )


def _suppliers(sold: pl.DataFrame) -> pl.DataFrame:
    numbers = sold.select(number="manufacturer_id").unique().sort("number")
    return _opened(
        numbers.with_columns(
            name1=pl.format("Manufacturer {}", "number"), currencyNumber=pl.lit("USD"), isActive=pl.lit(True)
        )
    )


def _lists() -> dict[str, pl.DataFrame]:
    usa = {"number": "USA", "countryName": "United States", "isoAlpha2": "US", "isoAlpha3": "USA", "domain": ".us"}
    year = {"validFrom": date(2017, 1, 1), "validUntil": date(2017, 12, 31)}
    lists: dict[str, list[dict[str, object]]] = {
        "country": [{**usa, "currencyNumber": "USD"}],
        "currency": [{"number": "USD", "isoAlpha3": "USD", "unit": 1, "course": 1.0}],
        "label": [{"number": number, "name": brand} for brand, number in _BRANDS.items()],
        "season": [{"seasonNumber": _SEASON, "name": "2017", **year}],
        "size": [{"sizeGroupNumber": 1, "name": "one size", "position": 1}],
    }
    return {entity: _opened(pl.DataFrame(rows)) for entity, rows in lists.items()}


def _opened(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(lastChange=pl.lit(_OPENED, dtype=pl.Datetime("ns")))


def _identified(merchant: str, entity: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Add ids made of the row's business numbers, and the fractions of lastChange."""
    keys = np.zeros(frame.height, dtype=np.uint64)
    for name in SHAPES[entity].key:
        numbers = frame[name].to_numpy() if frame[name].dtype.is_integer() else np.arange(frame.height)
        keys = (keys << np.uint64(24)) ^ numbers.astype(np.uint64)
    salt = f"{merchant}/{entity}"
    return frame.with_columns(uuids(salt, keys), pl.col("lastChange") + fractions(salt, keys))
