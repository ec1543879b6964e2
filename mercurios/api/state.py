"""What state the data is in: releases, how new they are, and which rules the merchant's records break.

{ freshness { subject newestOn ageDays } dataQuality { rule breaches share } releases { id asOf } }
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.errors import BadRequest, NoRelease
from mercurios.quality.score import trading

MAX_RELEASES = 100
_SUBJECTS = {
    "SALES": ("fct_sale_lines", "sold_on"),
    "STOCK": ("fct_stock_daily", "snapshot_on"),
    "PURCHASE_ORDERS": ("fct_purchase_orders", "ordered_on"),
    "VOUCHERS": ("fct_vouchers", "issued_on"),
    "FORECASTS": ("forecasts", "cutoff"),
    "REORDER_PROPOSALS": ("reorder_proposals", "cutoff"),
}
_NEWEST = """
    select max({day}) filter ({day} <= $today) as "newestOn", count(*) as records from marts.{table}
"""
_RULES = """
    select
        rule, upper(severity) as severity, entity, statement, fallback, remedy, example,
        coalesce(checked, 0) as checked, coalesce(breaches, 0) as breaches, share
    from marts.mart_data_quality
    where breaches > 0 or not $only_broken
    order by list_position(['error', 'warning', 'note'], severity), breaches desc, rule
"""


def _releases(_: object, info: GraphQLResolveInfo, first: int | None = None) -> Sequence[Mapping[str, Any]]:
    asker: Asker = info.context
    most = 20 if first is None else first
    if not 1 <= most <= MAX_RELEASES:
        raise BadRequest(f"first {most}: expected 1 to {MAX_RELEASES} releases")
    newest = list(asker.backend.releases())[-most:][::-1]
    return [
        {"id": one.id, "at": one.at, "asOf": one.as_of, "rollbackOf": one.rollback_of}
        | {"isRead": one.id == asker.session.release.id}
        for one in newest
    ]


def _freshness(_: object, info: GraphQLResolveInfo) -> Sequence[Mapping[str, Any]]:
    asker: Asker = info.context
    session = asker.session
    zone = ZoneInfo(session.query("select time_zone from marts.dim_tenants")["time_zone"][0].as_py())
    today = session.release.as_of.astimezone(zone).date()
    told = []
    for subject, (table, day) in _SUBJECTS.items():
        if session.holds(table):
            [row] = session.query(_NEWEST.format(table=table, day=day), {"today": today}).to_pylist()
            age = None if row["newestOn"] is None else (today - row["newestOn"]).days
            promise = _promise(asker, today, zone) if subject == "SALES" else None
            told.append({"subject": subject, "ageDays": age, "promise": promise, **row})
    return told


def _promise(asker: Asker, today: date, zone: ZoneInfo) -> Mapping[str, Any]:
    """The merchant's agreement, judged as the flow `quality` judges it: by when the tills last sold something."""
    sla = asker.backend.sla(asker.identity.tenant)
    days = asker.session.query("select distinct sold_on from marts.fct_sale_lines where sold_on is not null")
    traded = trading(pl.Series(days["sold_on"]), today, zone)
    if traded is None:
        return {"hours": sla.freshness_hours, "ageHours": None, "isKept": False}
    age, allowed = traded.age_hours(asker.session.release.as_of), traded.allowed_hours(sla)
    return {"hours": allowed, "ageHours": age, "isKept": age <= allowed}


def _data_quality(_: object, info: GraphQLResolveInfo, onlyBroken: bool | None = None) -> Sequence[Mapping[str, Any]]:
    session = info.context.session
    if not session.holds("mart_data_quality"):
        raise NoRelease(f"release {session.release.id} holds no data quality; run `mercurios export` first")
    rules: list[dict[str, Any]] = session.query(_RULES, {"only_broken": onlyBroken is not False}).to_pylist()
    return rules


RESOLVERS: Resolvers = {
    "Query.releases": _releases,
    "Query.freshness": _freshness,
    "Query.dataQuality": _data_quality,
}
