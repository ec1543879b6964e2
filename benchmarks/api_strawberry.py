"""The same numbers behind Strawberry on uvicorn: what one would have without the server of ours.

    python -m benchmarks.api_strawberry --port 8090      # with MERCURIOS_HOME set

Sessions, metric layer, forecasts and the check of tokens are ours; schema, execution, JSON and HTTP are theirs, as
their documentation sets them up. Nothing keeps answers there, as nothing in Strawberry does.
"""

import argparse
from datetime import date
from enum import Enum
from typing import Annotated

import strawberry
import uvicorn
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON
from strawberry.types import Info

from mercurios import wiring
from mercurios.api.access.tokens import verify
from mercurios.api.predictions import forecast as forecast_of
from mercurios.config import Settings
from mercurios.metrics import MetricQuery, Order, run
from mercurios.serving import Session, Sessions

SETTINGS = Settings()
SECRET = wiring.token_secret(SETTINGS)
LAKE = wiring.open_lake(SETTINGS)
FILES = wiring.release_files(LAKE, SETTINGS)
SESSIONS = Sessions(LAKE)


@strawberry.enum
class Grain(Enum):
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


@strawberry.enum
class ForecastLevel(Enum):
    TOTAL = "TOTAL"
    CATEGORY = "CATEGORY"


@strawberry.input(name="Order")
class OrderInput:
    column: str
    descending: bool = False


@strawberry.type
class Release:
    id: str
    as_of: str


@strawberry.type
class Tenant:
    name: str
    currency: str
    release: Release


@strawberry.type
class MetricResult:
    columns: list[str]
    rows: JSON


@strawberry.type
class ForecastPoint:
    date: str
    mean: float
    lo80: float | None
    hi80: float | None


@strawberry.type
class Forecast:
    points: list[ForecastPoint]
    model: str
    cutoff: str


@strawberry.type
class Query:
    @strawberry.field
    def tenant(self, info: Info) -> Tenant:
        session = _session(info)
        row = session.query("select name, currency from marts.dim_tenants").to_pylist()[0]
        return Tenant(
            name=row["name"],
            currency=row["currency"],
            release=Release(id=session.release.id, as_of=session.release.as_of.isoformat()),
        )

    @strawberry.field
    def metrics(  # noqa: PLR0913 - the arguments of ours
        self,
        info: Info,
        names: list[str],
        group_by: list[str] | None = None,
        grain: Grain | None = None,
        first: Annotated[str | None, strawberry.argument(name="from")] = None,
        to: str | None = None,
        order_by: list[OrderInput] | None = None,
        limit: int = 100,
    ) -> MetricResult:
        session = _session(info)
        query = MetricQuery(
            tuple(names),
            group_by=tuple(group_by or ()),
            grain=grain.value if grain else None,
            start=date.fromisoformat(first) if first else None,
            end=date.fromisoformat(to) if to else None,
            order_by=tuple(Order(one.column, one.descending) for one in order_by or ()),
            limit=limit,
        )
        found = run(FILES.semantics(session.release), session, query)
        return MetricResult(
            columns=list(found.columns), rows=JSON([[_plain(value) for value in row] for row in found.rows])
        )

    @strawberry.field
    def forecast(self, info: Info, level: ForecastLevel, key: str, horizon: int = 28) -> Forecast:
        found = forecast_of(_session(info), level.value, key, horizon_days=horizon)
        points = [
            ForecastPoint(date=str(one.date), mean=one.mean, lo80=one.lo80, hi80=one.hi80) for one in found.points
        ]
        return Forecast(points=points, model=found.model, cutoff=str(found.cutoff))


def _session(info: Info) -> Session:
    token = info.context["request"].headers["authorization"].removeprefix("Bearer ")
    return SESSIONS.get(verify(SECRET, token).tenant)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(GraphQL(strawberry.Schema(Query)), port=parser.parse_args().port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
