"""Order proposals of a release, and what if a supplier is late; read from a serving session.

    page = proposals(session, Wanted(supplier="4314"), limit=50)
    page.proposals[0]["orderQuantity"], page.order_value, page.next

Proposals are data in the release. A delay is reckoned while somebody waits, which takes a second or two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from graphql import GraphQLResolveInfo

from mercurios.answers.formats import number_text
from mercurios.api.asker import Resolvers, language
from mercurios.api.names import article_number, branch_number
from mercurios.api.scalars import camel
from mercurios.errors import BadRequest
from mercurios.jobs.delay import SupplierDelay, delay, find_supplier, require_proposals
from mercurios.serving import Session

MAX_PROPOSALS = 1_000
_MATCHING = """
    from marts.reorder_proposals
    where ($branch is null or branch = $branch)
        and ($article is null or article_number = $article)
        and ($supplier is null or supplier_number = $supplier)
        and (not $only_orders or order_quantity > 0)
"""
_SUMS = f"""
    select
        count(*) as matches,
        cast(coalesce(sum(order_value), 0) as double) as order_value,
        cast(coalesce(sum(lost_margin_avoided), 0) as double) as lost_margin_avoided,
        cast(coalesce(sum(holding_cost_added), 0) as double) as holding_cost_added
    {_MATCHING}
"""
_PAGE = f"select * {_MATCHING} and rank > $after order by rank limit $limit"
_WHOLE = """
    select max(currency) as currency, cast(max(budget) as double) as budget, max(cutoff) as cutoff
    from marts.dim_tenants left join marts.reorder_proposals using (tenant_id)
"""
_UNITS = ("position", "reorder_point", "order_up_to", "wanted_quantity", "order_quantity")
_MONEY = ("unit_cost", "order_value", "lost_margin_avoided", "holding_cost_added")


@dataclass(frozen=True)
class Wanted:
    """Which proposals; numbers as people write them."""

    branch: str | None = None
    article: str | None = None
    supplier: str | None = None
    only_orders: bool = True


@dataclass(frozen=True)
class Page:
    """Rows of the table `reorder_proposals` as the schema names them, sums over all that match, and where to go on."""

    proposals: Sequence[Mapping[str, Any]]
    matches: int
    order_value: float
    lost_margin_avoided: float
    holding_cost_added: float
    budget: float | None
    currency: str
    cutoff: date | None
    next: int | None


def proposals(session: Session, wanted: Wanted, *, limit: int, after: int = 0) -> Page:
    """Proposals that match, what is worth most first.

    after: rank of the last one of the page before. Raises BadRequest for a limit out of range, or a branch, article or
    supplier nobody knows, and NoChampion when the release holds no proposals.
    """
    if not 1 <= limit <= MAX_PROPOSALS:
        raise BadRequest(f"limit {limit}: expected 1 to {MAX_PROPOSALS:,} proposals")
    require_proposals(session)
    matching = {
        "branch": branch_number(session, wanted.branch),
        "article": article_number(session, wanted.article),
        "supplier": None if wanted.supplier is None else find_supplier(session, wanted.supplier)[0],
        "only_orders": wanted.only_orders,
    }
    rows = session.query(_PAGE, {**matching, "after": after, "limit": limit + 1}).to_pylist()
    [sums] = session.query(_SUMS, matching).to_pylist()
    [whole] = session.query(_WHOLE).to_pylist()
    last = rows[limit - 1]["rank"] if len(rows) > limit else None
    return Page(**sums, **whole, proposals=[_shown(row) for row in rows[:limit]], next=last)


def proposal(session: Session, item: str) -> Mapping[str, Any] | None:
    """The proposal of an item, as the schema names it; None when there is none, NoChampion without any."""
    require_proposals(session)
    rows = session.query("select * from marts.reorder_proposals where item = $item", {"item": item}).to_pylist()
    return _shown(rows[0]) if rows else None


def supplier_delay(session: Session, supplier: str, days: int) -> Mapping[str, Any]:
    """What it costs when a supplier is late, as the schema names it; raises as `mercurios.jobs.delay.delay`."""
    told: SupplierDelay = delay(session, supplier, days=days)
    on_time, late = told.delay.on_time, told.delay.late
    return {
        "supplierNumber": str(told.supplier_number),
        "supplier": told.supplier,
        "days": told.days,
        "items": told.delay.items,
        "weeks": told.delay.weeks,
        "cutoff": told.cutoff,
        "currency": session.query("select currency from marts.dim_tenants")["currency"][0].as_py(),
        "onTime": camel(vars(on_time)),
        "late": camel(vars(late)),
        "orderQuantityDifference": late.order_quantity - on_time.order_quantity,
        "orderValueDifference": round(late.order_value - on_time.order_value, 2),
        "stockoutRiskDifference": told.delay.stockout_risk,
        "lostMarginDifference": told.delay.lost_margin,
    }


def reason_text(proposal: Mapping[str, Any], language: str) -> str:
    """Why, in words, with the units of the proposal."""
    units = {name: proposal["units"][name] for name in _UNITS}
    shown = {
        name: "–" if value is None else number_text(round(value, 1), "units", language, "")
        for name, value in units.items()
    }
    return str(_texts()[proposal["reason"].lower()][language]).format(**shown)


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    loaded: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        files("mercurios.api").joinpath("orders.yaml").read_text("utf-8")
    )
    return loaded


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row in the schema's names: numbers of things as text, enums in capitals, money as floats."""
    money = {name: None if row[name] is None else float(row[name]) for name in _MONEY}
    basis = row["lead_time_basis"]
    return camel({**row, **money}) | {
        "article": str(row["article_number"]),
        "branch": _text(row["branch"]),
        "supplierNumber": _text(row["supplier_number"]),
        "leadDays": row["lead_days_mean"],
        "reason": row["reason"].upper(),
        "leadTimeBasis": basis and basis.upper(),
        "units": {name: row[name] for name in _UNITS},
    }


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _reorder_proposals(  # noqa: PLR0913 - the arguments of the field
    _: object,
    info: GraphQLResolveInfo,
    *,
    branch: str | None = None,
    article: str | None = None,
    supplier: str | None = None,
    onlyOrders: bool | None = None,
    limit: int | None = None,
    after: int | None = None,
) -> Page:
    wanted = Wanted(branch, article, supplier, only_orders=onlyOrders is not False)
    return proposals(info.context.session, wanted, limit=50 if limit is None else limit, after=after or 0)


def _reason_text(proposal: Mapping[str, Any], _: GraphQLResolveInfo, locale: str | None = None) -> str:
    return reason_text(proposal, language(locale) or "en")


RESOLVERS: Resolvers = {
    "Query.reorderProposals": _reorder_proposals,
    "Query.supplierDelay": lambda _, info, supplier, days: supplier_delay(info.context.session, supplier, days),
    "ReorderProposals.orderValue": lambda page, _: page.order_value,
    "ReorderProposals.lostMarginAvoided": lambda page, _: page.lost_margin_avoided,
    "ReorderProposals.holdingCostAdded": lambda page, _: page.holding_cost_added,
    "ReorderProposal.reasonText": _reason_text,
}
