"""A small world behind the API: two merchants in a real lake, a toy semantic layer, and a server on loopback.

Every string of `north` says "northern" and every number begins with 88; of `south`, "southern" and 77. So a leak shows
in any answer as plain text.
"""

import asyncio
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from mercurios.answers import Answer
from mercurios.api.access import Access
from mercurios.api.access.audit import AuditLog
from mercurios.api.access.keys import ApiKeys
from mercurios.api.access.limits import RateLimits
from mercurios.api.access.provider import Provider
from mercurios.api.access.tokens import issue
from mercurios.api.backend import Backend
from mercurios.api.processes import listen
from mercurios.api.seals import Seals
from mercurios.api.server import Api, make_app, make_server
from mercurios.cache import Cache, open_cache
from mercurios.errors import InvalidMetricQuery, UnknownDimension, UnknownMetric
from mercurios.journal import Journals
from mercurios.lake import Lake
from mercurios.metrics import MAX_LIMIT, CompiledQuery, Metric, MetricQuery, SemanticLayer
from mercurios.serving import Session, Sessions
from mercurios.tables import TABLES
from mercurios.tenancy import Sla
from tests.api_lists import rows_of_lists

Response = httpx.Response
SECRET = "a-secret-of-the-tests-that-is-long-enough"
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
CUTOFF = date(2017, 12, 31)
MARKS = {"north": ("northern", 88), "south": ("southern", 77)}
OTHER = {"north": "south", "south": "north"}


def rows_of(tenant: str) -> dict[str, list[dict[str, Any]]]:
    """The merchant's rows of every table the API reads, short of `tenant_id`; south has twice as many customers."""
    word, mark = MARKS[tenant]
    article, customer = mark * 100_000 + 1, mark * 1_000 + 1
    # Powers of a thousand apart, so that every sum begins with the mark as well.
    days = [date(2017, 11, 30), date(2017, 12, 1), date(2017, 12, 2)]
    amounts = dict(zip(days, (mark * 1_000_000 + 100, mark * 1_000 + 200, mark), strict=True))
    place = {"branch": _branch(mark), "department": f"{word} grocery", "category": f"{word} bakery"}
    position = place | {"article_number": article, "product_type": f"{word} rolls"}
    return {
        "dim_tenants": [
            {"name": f"{word} stores", "currency": "USD", "time_zone": "America/New_York", "locale": word[:2]}
        ],
        "dim_articles": [{"article_number": article, "label": f"{word} bread", "category": f"{word} bakery"}],
        "dim_branches": [
            {"branch": _branch(mark)},
            {"branch": _branch(mark) + 1, "name": f"{word} web", "is_webshop": True},
        ],
        "dim_suppliers": [{"supplier_number": mark * 10_000 + 1, "name": f"{word} mill"}],
        "dim_customers": [{"customer_number": customer + n} for n in range(2 if tenant == "north" else 4)],
        "mart_sales_daily": [
            place | {"sold_on": day, "lines": mark, "units": float(amount), "revenue": _amount(amount)}
            for day, amount in amounts.items()
        ],
        "fct_sale_lines": [
            position | _sale_line(word, mark, day, amount) | {"customer_number": customer}
            for day, amount in amounts.items()
        ],
        "fct_stock_daily": [
            position | {"snapshot_on": day, "quantity": 1.0, "stock_value": mark * 1_000} for day in amounts
        ],
        "forecasts": [
            *_points("category", f"{word} bakery", mark, 7, 4),
            *_points("branch", str(_branch(mark)), mark, 1, 28),
        ],
        "forecast_backtest": [
            {"level": "category", "method": method, "role": role, "demand_class": of, "cutoff": CUTOFF}
            | {"observations": mark, "wape": wape, "skill": 1 - wape / 0.5, "p_value": wape / 100, "bias": math.nan}
            for method, role, wape in (("SeasonalNaive", "baseline", 0.5), ("AutoETS", "champion", mark / 1_000))
            for of in ("smooth", "all")
        ],
        "recommendations": [
            {"customer_number": customer, "rank": rank, "article_number": article + rank - 1, "score": mark / rank}
            | {"reason": f"{word} reason {rank}", "model": "als", "model_version": "1"}
            for rank in (1, 2, 3)
        ],
        "reorder_proposals": [_proposal(word, mark, article, rank) for rank in (1, 2, 3)],
        "unit_forecasts": [
            {"item": f"{article}/{_branch(mark)}", "ds": CUTOFF + timedelta(days=1 + 7 * week), "mean": mark * 1.0}
            | {"lo80": mark / 2, "hi80": mark * 2.0, "lo95": mark / 4, "hi95": mark * 4.0}
            | {"model": "RecentMean", "cutoff": CUTOFF}
            for week in range(4)
        ],
        **rows_of_lists(word, mark),
    }


def _proposal(word: str, mark: int, article: int, rank: int) -> dict[str, Any]:
    """An order by branch, one for all branches, and an article without a stock record."""
    place = {1: (f"{article}/{_branch(mark)}", _branch(mark)), 2: (str(article), None), 3: (str(article + 1), None)}
    item, branch = place[rank]
    who = {"item": item, "branch": branch, "article_number": article + (rank == 3), "rank": rank, "cutoff": CUTOFF}
    names = {"label": f"{word} bread", "category": f"{word} bakery", "supplier": f"{word} mill"}
    terms = {"pack_size": 1.0, "minimum_order": 0.0, "holding_rate": 0.25, "obsolescence_rate": 0.25}
    common = who | names | terms | {"supplier_number": mark * 10_000 + 1, "service_class": "AX", "on_order": 0.0}
    common |= {"budget": Decimal(mark * 1_000), "unit_cost": Decimal(2), "price": Decimal(3)}
    if rank == 3:
        return common | {"reason": "no_stock", "wanted_quantity": 0.0, "order_quantity": 0.0, "order_value": Decimal(0)}
    order = {"on_hand": mark * 1.0, "position": mark * 1.0, "reorder_point": mark * 3.0, "order_up_to": mark * 3.0}
    order |= {"wanted_quantity": mark * 2.0, "order_quantity": mark * 2.0, "order_value": Decimal(mark * 4)}
    order |= {"lost_margin_avoided": Decimal(mark * 2) / rank, "holding_cost_added": Decimal(mark) / 100}
    order |= {"service_level": 0.95, "protection_weeks": 3.0, "expected_demand": mark * 2.5, "safety_stock": mark / 2}
    return common | order | {"reason": "below_reorder_point", "lead_time_basis": "default"}


def _branch(mark: int) -> int:
    return mark * 100 + 1


def _amount(amount: int) -> Decimal:
    return Decimal(amount) + Decimal("0.15")


def _sale_line(word: str, mark: int, day: date, amount: int) -> dict[str, Any]:
    return {
        "sale_line_id": f"{word} line {day}",
        "receipt_id": f"{word} receipt {day}",
        "sold_on": day,
        "sold_at": datetime(day.year, day.month, day.day, 17, tzinfo=UTC),
        "is_merchandise": True,
        "is_return": False,
        "quantity": float(amount),
        "cost_amount": Decimal(mark),
    } | dict.fromkeys(("gross_amount", "net_amount", "label_amount", "labelled_gross_amount"), _amount(amount))


def _points(level: str, key: str, mark: int, step_days: int, steps: int) -> list[dict[str, Any]]:
    bounds = {"lo80": mark * 1.0, "hi80": mark * 100.0, "lo95": math.nan, "hi95": None}
    return [
        {"level": level, "key": key, "ds": CUTOFF + timedelta(days=1 + step_days * n), "mean": mark * 10.0 + n}
        | {"model": "AutoETS", "model_version": "1", "cutoff": CUTOFF}
        | bounds
        for n in range(steps)
    ]


def frame(name: str) -> pa.Table:
    """One published table with both merchants' rows."""
    rows = [{"tenant_id": tenant} | row for tenant in MARKS for row in rows_of(tenant)[name]]
    schema = TABLES[name].schema
    return pa.Table.from_pylist([{column: row.get(column) for column in schema.names} for row in rows], schema=schema)


def fill(lake: Lake, *, leave_out: Sequence[str] = ()) -> None:
    """Publish everything as one release."""
    lake.publish({name: frame(name) for name in rows_of("north") if name not in leave_out}, as_of=AS_OF)


class ToySemantics:
    """Metrics over `mart_sales_daily`, in the interface of `SemanticLayer`; counts what it compiles.

    `margin` is the lines, and stands for what only an analyst may read.
    """

    def __init__(self) -> None:
        self.compiled = 0

    def catalog(self) -> tuple[Metric, ...]:
        return tuple(
            Metric(
                name=name,
                label={"en": name.title(), "de": german},
                unit=unit,
                description={"en": f"{name} of all lines", "de": f"{german} aller Zeilen"},
                dimensions=("branch", "category"),
                grains=("DAY", "MONTH"),
                formula={"en": f"sum of {name}", "de": f"Summe: {german}"},
                needs="analyst" if name == "margin" else "viewer",
            )
            for name, german, unit in (
                ("revenue", "Umsatz", "currency"),
                ("units", "Stück", "units"),
                ("margin", "Spanne", "fraction"),
            )
        )

    def compile(self, query: MetricQuery) -> CompiledQuery:
        self.compiled += 1
        for name in query.names:
            if name not in {"revenue", "units", "margin"}:
                raise UnknownMetric(f"no metric {name[:40]!r}; there are: revenue, units, margin")
        for name in (*query.group_by, *(condition.dimension for condition in query.where)):
            if name not in {"branch", "category"}:
                raise UnknownDimension(f"no dimension {name[:40]!r}; there are: branch, category")
        if not 1 <= query.limit <= MAX_LIMIT:
            raise InvalidMetricQuery(f"limit {query.limit}: expected 1 to {MAX_LIMIT:,}")
        if query.start and query.end and query.start > query.end:
            raise InvalidMetricQuery("the period ends before it begins; swap from and to")
        keys = {f"date_trunc('{query.grain.lower()}', sold_on)::date": "metric_time"} if query.grain else {}
        keys |= {name: name for name in query.group_by}
        sums = {f"sum({'lines' if name == 'margin' else name})": name for name in query.names}
        conditions = [f"{c.dimension}::varchar in ({_literals(c.values)})" for c in query.where]
        conditions += [f"sold_on between '{query.start or date.min}' and '{query.end or date.max}'"]
        sql = (
            f"select {', '.join(f'{source} as {name}' for source, name in (keys | sums).items())}"
            f" from marts.mart_sales_daily where {' and '.join(conditions)}"
            + (f" group by {', '.join(keys)} order by {', '.join(keys)}" if keys else "")
            + f" limit {query.limit}"
        )
        return CompiledQuery(sql, (*keys.values(), *sums.values()), {})


def _literals(values: Sequence[object]) -> str:
    return ", ".join("'" + str(value).replace("'", "''") + "'" for value in values) or "null"


def toy_ask(session: Session, question: str, locale: str | None) -> Answer:
    """Answers "revenue", "margin" and "boom", refuses the rest."""
    if "boom" in question:
        raise RuntimeError(f"driver quotes the question: {question}")
    if "margin" in question:
        return Answer("ANSWERED", "margin 1", ("margin",), ((1.0,),), {"names": ["margin"]}, ("metric:margin",))
    if "revenue" not in question:
        return Answer("REFUSED", "no metric for that" if locale != "de" else "keine Kennzahl dafür")
    total = session.query("select sum(revenue) as revenue from marts.mart_sales_daily")["revenue"][0].as_py()
    query = {"names": ["revenue"]}
    return Answer("ANSWERED", f"revenue {total}", ("revenue",), ((float(total),),), query, ("metric:revenue",))


@dataclass
class ApiWorld:
    """The parts behind a running API, for tests to look at."""

    lake: Lake
    sessions: Sessions
    semantics: ToySemantics
    cache: Cache
    app: Api
    access: Access
    audited: Path
    url: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))

    def post(self, body: bytes | Mapping[str, object], *, tenant: str | None = "north", **headers: str) -> Response:
        """POST to /graphql as somebody of `tenant`, or as nobody."""
        if tenant is not None:
            headers["Authorization"] = f"Bearer {self.tokens[tenant]}"
        content = {"content": body} if isinstance(body, bytes) else {"json": dict(body)}
        return self.http.post(f"{self.url}/graphql", headers=headers, **content)  # type: ignore[arg-type]

    def audit(self) -> list[dict[str, Any]]:
        """Every line of the audit log."""
        return [json.loads(line) for line in self.audited.read_text().splitlines()]

    def ask(self, document: str, *, tenant: str = "north", **variables: object) -> dict[str, Any]:
        """The `data` of a document that must succeed."""
        content = self.post({"query": document, "variables": variables}, tenant=tenant).json()
        assert "errors" not in content, content
        return dict(content["data"])

    def fail(self, document: str, *, tenant: str = "north", **variables: object) -> tuple[str, str]:
        """Code and message of the first error of a document that must fail."""
        content = self.post({"query": document, "variables": variables}, tenant=tenant).json()
        first = content["errors"][0]
        return first["extensions"]["code"], first["message"]


def make_world(  # noqa: PLR0913 - parts of a world
    folder: Path,
    *,
    leave_out: Sequence[str] = (),
    is_empty: bool = False,
    semantics: SemanticLayer | None = None,
    provider: Provider | None = None,
    limits: RateLimits | None = None,
    ask: Callable[[Session, str, str | None], Answer] | None = None,
    cache_url: str = "memory:",
    refresh_seconds: float = 0.0,
    **options: Any,
) -> ApiWorld:
    """A lake with both merchants in `folder` and the application on top, not yet listening.

    semantics: real metric definitions instead of the toy. provider: whose tokens are taken instead of our own.
    ask: what answers questions instead of `toy_ask`.
    refresh_seconds: how long a release is believed to be the current one.
    """
    lake = Lake.open(f"sqlite:///{folder}/catalog.db", f"file://{folder}/data")
    if not is_empty:
        fill(lake, leave_out=leave_out)
    sessions, toy, cache = Sessions(lake, refresh_seconds=refresh_seconds), ToySemantics(), open_cache(cache_url)
    journals = Journals.open(f"sqlite:///{folder}/journal.db")
    kept = (lake.releases, journals.of, Seals(SECRET), lambda _: Sla(freshness_hours=26))
    backend = Backend(sessions, lambda _: semantics or toy, ask or toy_ask, cache, lambda: tuple(MARKS), *kept)  # type: ignore[arg-type,return-value]
    audited, keys = folder / "access" / "audit.jsonl", ApiKeys(folder / "access" / "keys.sqlite")
    access = Access(SECRET, keys, limits or RateLimits(10_000, 10_000), AuditLog.open(audited), provider)
    app = make_app(backend, access, **options)
    tokens = {tenant: issue(SECRET, tenant, "buyer", timedelta(minutes=30)) for tenant in MARKS}
    return ApiWorld(lake, sessions, toy, cache, app, access, audited, tokens=tokens)


@contextmanager
def listening(world: ApiWorld) -> Iterator[ApiWorld]:
    """Serve the world's application on a free loopback port from a thread of its own."""
    loop = asyncio.new_event_loop()
    listener = listen(0, "127.0.0.1")
    world.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ready, stopping = threading.Event(), asyncio.Event()

    async def run() -> None:
        server = make_server(world.app)
        server.add_sockets([listener])
        ready.set()
        await stopping.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait()
    try:
        yield world
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()
        world.app.service.close()
        world.http.close()
