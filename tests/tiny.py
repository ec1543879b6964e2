"""A small German merchant, made up by a seed: enough of everything to run the whole path in seconds.

    tiny_merchant(seed=1)["sale"]

Columns are the API's fields, and all 20 entities have rows. Four branches, six categories in three departments (one is
fuel, a service category), 420 days up to 2025-12-30, known and anonymous customers, returns, lines without a label
price, two VAT rates. What is personal holds one of the `CANARIES`.
"""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from tests.tiny_masters import CANARIES, people, small_lists
from tests.tiny_papers import papers

__all__ = ["BRANCHES", "CANARIES", "CATEGORIES", "DAYS", "DEPARTMENTS", "LAST_DAY", "tiny_merchant"]

BRANCHES = (1, 2, 7, 12)
DAYS = 420
LAST_DAY = date(2025, 12, 30)
CATEGORIES = {  # number: (name, department's number, tax number, is a service category)
    110: ("Jeans", 10, 1, False),
    120: ("Hemden", 10, 1, False),
    210: ("Bücher", 20, 2, False),
    220: ("Kalender", 20, 2, False),
    310: ("Brot", 30, 2, False),
    320: ("Kraftstoff", 30, 1, True),
}
DEPARTMENTS = {10: "Mode", 20: "Papier", 30: "Tankstelle"}
_STAMP = "2025-12-31T05:06:07.12345"


def tiny_merchant(seed: int, *, lines_a_day: int = 14) -> dict[str, pl.DataFrame]:
    """Entities of one merchant; another seed gives other numbers of the same shape."""
    random = np.random.default_rng(seed)
    articles = _articles(random, seed)
    frames = {
        "branch": people("branch", BRANCHES, name1=[f"Filiale {branch}" for branch in BRANCHES], isActive=True),
        "category": _categories(),
        "article": articles.drop("weekly"),
        "customer": people("customer", range(1, 41), branchNumber=1),
        "articlesize": _stock(articles),
        "sale": _sales(random, seed, articles, lines_a_day),
        **small_lists(BRANCHES),
        **papers(articles["number"].to_list(), BRANCHES, list(CATEGORIES), LAST_DAY),
    }
    return {entity: _with_ids(entity, seed, frame) for entity, frame in frames.items()}


def _with_ids(entity: str, seed: int, frame: pl.DataFrame) -> pl.DataFrame:
    kind = sum(map(ord, entity))
    ids = [f"{seed:08x}-{kind:04x}-4000-8000-{number:012x}" for number in range(frame.height)]
    tracking = {} if entity == "order" else {"lastChange": pl.lit(_STAMP), "isDeleted": pl.lit(False)}
    return frame.with_columns(id=pl.Series(ids), **tracking)


def _categories() -> pl.DataFrame:
    departments = [
        {
            "number": n,
            "name": name,
            "mainCategoryNumber": n,
            "generalCategoryNumber": n,
            "taxNumber": 1,
            "isServiceCategory": False,
        }
        for n, name in DEPARTMENTS.items()
    ]
    leaves = [
        {
            "number": n,
            "name": name,
            "mainCategoryNumber": m,
            "generalCategoryNumber": m,
            "taxNumber": t,
            "isServiceCategory": s,
        }
        for n, (name, m, t, s) in CATEGORIES.items()
    ]
    return pl.DataFrame(departments + leaves)


def _articles(random: np.random.Generator, seed: int) -> pl.DataFrame:
    rows = []
    for category in CATEGORIES:
        for number in range(5):
            rows.append(
                {
                    "number": float(seed * 1_000_000 + category * 100 + number),
                    "categoryNumber": category,
                    "supplierNumber": 501 + number % 3,
                    "text1": f"{CATEGORIES[category][0]} Art {number}",
                    "purchasePrice": round(float(random.uniform(2, 20)), 2),
                    "labelPrice": round(float(random.uniform(25, 60)), 2),
                    "isActive": True,
                    "weekly": float(random.uniform(0.5, 3)),
                }
            )
    return pl.DataFrame(rows)


def _stock(articles: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "number": article["number"],
            "articleNumber": article["number"],
            "branchNumber": branch,
            "stockQuantity": float(5 + (position + branch) % 7),
            "purchasePrice": article["purchasePrice"],
            "salePrice": article["labelPrice"],
            "labelPrice": article["labelPrice"],
        }
        for position, article in enumerate(articles.iter_rows(named=True))
        for branch in BRANCHES
    ]
    return pl.DataFrame(rows)


def _sales(random: np.random.Generator, seed: int, articles: pl.DataFrame, lines_a_day: int) -> pl.DataFrame:
    weights = articles["weekly"].to_numpy() / articles["weekly"].sum()
    chosen = list(articles.iter_rows(named=True))
    rows = []
    for branch in BRANCHES:
        counter = 1_000_000 - 50  # it wraps after some receipts
        for offset in range(DAYS):
            day = LAST_DAY - timedelta(days=DAYS - 1 - offset)
            if day.weekday() == 6 or (day.month, day.day) == (12, 25):
                continue
            for _ in range(int(random.poisson(lines_a_day / 3 * (1.4 if day.weekday() == 5 else 1)))):
                counter = (counter + 1) % 1_000_000
                rows += _receipt(
                    random, branch, day, counter, [chosen[i] for i in random.choice(len(chosen), 2, p=weights)]
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def _receipt(
    random: np.random.Generator, branch: int, day: date, counter: int, articles: list[dict[str, object]]
) -> list[dict[str, object]]:
    customer = int(random.integers(1, 41)) if random.random() < 0.6 else 0
    lines = []
    for position, article in enumerate(articles, start=1):
        label = float(str(article["labelPrice"]))
        off = round(label * 0.2, 2) if random.random() < 0.15 else 0.0
        sign = -1 if random.random() < 0.02 else 1
        labelled = random.random() > 0.02
        lines.append(
            {
                "branchNumber": branch,
                "articleNumber": article["number"],
                "articleSizeNumber": article["number"],
                "customerNumber": customer,
                "cashRegisterNumber": 1,
                "receiptNumber": 1_000_000 + counter,
                "receiptPosition": position,
                "quantity": float(sign),
                "salePrice": round(sign * (label - off), 2),
                "discount": sign * off,
                "deduction": 0.0,
                "labelPrice": label if labelled else 0.0,
                "purchasePrice": round(sign * float(str(article["purchasePrice"])), 2),
                "type": 1 if sign < 0 else 0,
                "date": datetime(day.year, day.month, day.day).isoformat(),
                "time": int(random.integers(9 * 3600, 19 * 3600)),
            }
        )
    return lines
