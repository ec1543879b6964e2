"""A merchant whose records change in every way a source changes them, and who is read batch by batch.

    shop = Shop("north", seed=1)
    shop.trade()                            # lines come, change, move, go and come back
    shop.read(warehouse, at)                # one complete read: a batch an entity, and a stock snapshot

What `read` writes goes through the warehouse's own batches, as ingest's does.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from mercurios.jobs.ingest.tables import ENTITY_TABLES, STOCK_DAILY, TENANT_VAT_RATES, TENANTS
from mercurios.jobs.keep_forecasts import KEPT_FORECASTS, keep_forecasts
from mercurios.warehouse import Batch, Scope, Snapshot, Warehouse

FIRST_DAY = date(2025, 10, 20)
DAYS = 50
ARTICLES = (100, 200, 300, 400)
CATEGORIES = (10, 11, 20)
_POSITION = {"articleNumber": 100, "branchNumber": 1, "orderAmount": 10, "deliveredAmount": 4, "netPurchasePrice": 2.5}
_PAPERS: Mapping[str, Sequence[Mapping[str, object]]] = {
    "supplier": [{"id": "s5", "number": 5, "name1": "Nord", "is_active": True}],
    "season": [{"id": "z1", "season_number": 1, "name": "HW25", "valid_from": datetime(2025, 7, 1)}],
    "staff": [{"id": "p3", "number": 3, "branch_number": 1, "job_title": "Sales", "is_active": True}],
    "branch": [{"id": f"b{number}", "number": number, "name1": f"B{number}", "is_active": True} for number in (1, 2)],
    "customer": [{"id": "k7", "number": 7}],
    "voucher": [{"id": "v1", "number": 1, "branch_number": 1, "value": 50.0, "amount_redeemed": 20.0}],
    "promotion": [
        {
            "id": "w1",
            "kind": "mailer",
            "article_number": 400,
            "category_number": 20,
            "first_day": datetime(2025, 12, 1),
            "last_day": datetime(2025, 12, 14),
            "share": 1.0,
        }
    ],
    "order": [
        {
            "id": "o1",
            "number": 1,
            "supplier_number": 5,
            "created": datetime(2025, 11, 3),
            "positions": json.dumps([_POSITION, {**_POSITION, "expectedArrival": "2025-12-01T00:00:00"}]),
        }
    ],
}
META = {"_batch_id", "_extracted_at", "_row_hash", "_key_xxh3", "_deleted_at"}
Row = dict[str, object]
Rows = Sequence[Mapping[str, object]]


@dataclass
class Shop:
    """One tenant's records as the source has them now. Article 400 has no master until one is made."""

    tenant_id: str
    seed: int
    time_zone: str = "Europe/Berlin"
    rate: float = 0.19
    lines: dict[str, Row] = field(default_factory=dict)
    gone: dict[str, Row] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=lambda: {number: f"W{number}" for number in CATEGORIES})
    articles: dict[int, Row] = field(default_factory=dict)
    stock: dict[tuple[int, int], float] = field(default_factory=dict)
    made: int = 0
    batches: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        for number in ARTICLES[:3]:
            self._describe(number)
        for _ in range(40):
            self._sell()
        for number in range(12):  # coat and book are bought together, on the last day too
            for article in ARTICLES[:2]:
                self.lines[self._sell()] |= {
                    "article_number": article,
                    "quantity": 1,
                    "type": 0,
                    "receipt_number": 10 + number,
                    "branch_number": 1,
                    "date": _day(DAYS - 12 + number),
                }
        self._count()

    def trade(self) -> None:
        """Some of everything that may happen between two reads."""
        happenings: Sequence[tuple[Callable[[], object], int]] = (
            (self._sell, 6),
            (self._correct, 3),
            (self._move, 3),
            (self._give_to_another_article, 1),
            (self._delete, 3),
            (self._mark_as_deleted, 2),
            (self._bring_back, 2),
            (self._count, 1),
        )
        for happening, times in happenings:
            for _ in range(self.random.randint(0, times)):
                happening()

    def change_masters(self) -> None:
        """An article moves, a category is renamed, a rate changes, or an unknown article gets its master."""
        change = self.random.choice(("article", "category", "rate", "zone", "master"))
        if change == "rate":
            self.rate = self.random.choice((0.07, 0.16, 0.19, 0.2))
        elif change == "zone":
            self.time_zone = self.random.choice(("Europe/Berlin", "Europe/London", "America/New_York"))
        elif change == "category":
            self.names[self.random.choice(CATEGORIES)] = f"W{self.random.randint(0, 99)}"
        else:
            self._describe(400 if change == "master" else self.random.choice(ARTICLES[:3]))

    def read(self, warehouse: Warehouse, at: datetime) -> None:
        """Read everything as of a moment (UTC)."""
        warehouse.replace(TENANTS, self.tenant_id, _table(TENANTS.columns, [self._profile()]))
        rates = [{"tax_number": 1, "rate": self.rate}, {"tax_number": 2, "rate": 0.07}]
        warehouse.replace(TENANT_VAT_RATES, self.tenant_id, _table(TENANT_VAT_RATES.columns, rates))
        self._load(warehouse, at, "category", [self._category(number) for number in CATEGORIES])
        self._load(warehouse, at, "article", list(self.articles.values()))
        self._load(warehouse, at, "sale", list(self.lines.values()))
        for entity, rows in _PAPERS.items():
            self._load(warehouse, at, entity, rows)
        sizes = [self._size(*place) for place in self.stock]
        self._load(warehouse, at, "articlesize", sizes, Snapshot(STOCK_DAILY, at.date()))

    def predict(self, warehouse: Warehouse) -> int:
        """Keep forecasts of days that are long over and of some to come; returns how many were not kept before."""
        return keep_forecasts(warehouse, pa.Table.from_pylist(list(self._predicted()), schema=KEPT_FORECASTS.columns))

    def replay(self, warehouse: Warehouse, at: datetime) -> None:
        """Bring one line more, as a replay of the quarantine does: in a batch that says nothing of the others."""
        key = self._sell()
        batch = self._batch("sale", at, scope=None, snapshot=None, is_newest=False)
        with warehouse.load(batch) as load:
            load.stage([_table(batch.table.columns, [self.lines[key]])])
            load.commit(1, at)

    def _predicted(self) -> Iterator[Row]:
        chance = random.Random(self.batches)
        mondays = [FIRST_DAY + timedelta(days=7 * week) for week in range(9)]
        champion: Row = {"tenant_id": self.tenant_id, "role": "champion", "model": "AutoETS", "release": "r1"}
        categories = [("category", name, 0) for name in sorted(set(self.names.values()))]
        for level, key, day in (("branch", "1", 4), ("branch", "2", 3), *categories):
            for monday in chance.sample(mondays, 4):
                period: Row = {"ds": monday + timedelta(days=day), "cutoff": monday - timedelta(days=1)}
                mean = chance.uniform(0, 200)
                numbers: Row = {
                    "model_version": str(chance.randint(1, 2)),
                    "mean": mean,
                    "lo80": 0.5 * mean,
                    "hi80": 2 * mean,
                }
                yield {**champion, **period, **numbers, "level": level, "key": key}

    def _load(
        self,
        warehouse: Warehouse,
        at: datetime,
        entity: str,
        rows: Sequence[Mapping[str, object]],
        snapshot: Snapshot | None = None,
    ) -> None:
        scope = Scope("date" if entity == "sale" else None)
        batch = self._batch(entity, at, scope=scope, snapshot=snapshot, is_newest=True)
        with warehouse.load(batch) as load:
            load.stage([_table(batch.table.columns, rows)])
            load.commit(len(rows), at)

    def _batch(
        self, entity: str, at: datetime, *, scope: Scope | None, snapshot: Snapshot | None, is_newest: bool
    ) -> Batch:
        self.batches += 1
        name = f"{self.seed}-{entity}-{self.batches}"
        table = ENTITY_TABLES[entity]
        deleted = "is_deleted" if "is_deleted" in table.columns.names else None
        return Batch(self.tenant_id, name, entity, table, at, scope, snapshot, None, deleted, is_newest)

    def _profile(self) -> Row:
        return {"name": self.tenant_id, "currency": "EUR", "time_zone": self.time_zone, "locale": "de"}

    def _category(self, number: int) -> Row:
        row: Row = {"id": f"c{number}", "number": number, "name": self.names[number], "main_category_number": number}
        return row | {"tax_number": 1 if number < 20 else 2, "is_service_category": False, "is_deleted": False}

    def _size(self, branch: int, article: int) -> Row:
        row: Row = {"id": f"{branch}-{article}", "number": article * 10, "article_number": article}
        quantity = self.stock[branch, article]
        return row | {"branch_number": branch, "stock_quantity": quantity, "purchase_price": 2.5, "is_deleted": False}

    def _describe(self, number: int) -> None:
        chosen = self.random.choice(CATEGORIES)
        row: Row = {"id": f"a{number}", "number": number, "category_number": chosen, "is_deleted": False}
        row |= {"supplier_number": self.random.choice((0, 5)), "season_number": 1, "label_price": 9.99}
        self.articles[number] = row | {"text1": self.random.choice(("COAT", "BOOK")), "purchase_price": 2.5}

    def _sell(self) -> str:
        self.made += 1
        key = f"l{self.made}"
        quantity = self.random.choice((1, 1, 2, 0.1, 0.2, 0.7, -1))
        line: Row = {"id": key, "type": int(quantity < 0), "quantity": quantity, "is_deleted": False}
        line |= {"branch_number": self.random.choice((1, 2)), "cash_register_number": 1, "time": 80_000}
        line |= {"receipt_number": self.random.randint(1, 3), "article_number": self.random.choice(ARTICLES)}
        line |= {"customer_number": self.random.choice((0, 7, 8)), "staff_number": self.random.choice((0, 3))}
        line |= {"sale_price": round(self.random.uniform(1, 99) * (1 if quantity > 0 else -1), 2), "label_price": 9.99}
        self.lines[key] = line | {"discount": 0.0, "deduction": 0.0, "purchase_price": 3.3333, "date": self._day()}
        return key

    def _correct(self) -> None:
        self._any()["sale_price"] = round(self.random.uniform(1, 99), 2)

    def _move(self) -> None:
        self._any().update(date=self._day(), receipt_number=self.random.randint(1, 3))

    def _give_to_another_article(self) -> None:
        self._any()["article_number"] = self.random.choice(ARTICLES)

    def _delete(self) -> None:
        key = self.random.choice(sorted(self.lines))
        self.gone[key] = self.lines.pop(key)

    def _mark_as_deleted(self) -> None:
        self._any()["is_deleted"] = True

    def _bring_back(self) -> None:
        if self.gone:
            key, line = self.gone.popitem()
            self.lines[key] = line | {"date": self._day(), "is_deleted": False}

    def _count(self) -> None:
        places = [(branch, article) for branch in (1, 2) for article in ARTICLES if self.random.random() < 0.7]
        self.stock = {place: self.random.choice((0.0, 3.0, -1.0)) for place in places or [(1, 100)]}

    def _any(self) -> Row:
        return self.lines[self.random.choice(sorted(self.lines))]

    def _day(self) -> datetime:
        return _day(self.random.randrange(DAYS))


def _day(number: int) -> datetime:
    return datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day) + timedelta(days=number)


def morning(number: int) -> datetime:
    """The moment of the so-manieth read: six o'clock, UTC, a day each, from where the shop's days end."""
    return datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, 6, tzinfo=UTC) + timedelta(days=DAYS + number)


def _table(columns: pa.Schema, rows: Rows) -> pa.Table:
    schema = pa.schema([each for each in columns if each.name not in META | {"tenant_id"}])
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
