"""Delay: what if a supplier is late? Asked of the proposals of a release.

    told = delay(session, "4314", days=14)
    told.delay.lost_margin.mean         # money, net, beside what is lost when the supplier is on time

Everything it needs was published with the proposals, so it takes about a second. What reckons is imported when it is
asked for: it is 90 MB that an API without such a question does not need.
"""

import difflib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from mercurios.errors import BadRequest, NoChampion
from mercurios.serving import Session

if TYPE_CHECKING:
    from mercurios.replenishment import Delay, StockSettings

_ITEMS = """
    select
        item as unique_id,
        * replace (cast(unit_cost as double) as unit_cost, cast(price as double) as price)
    from marts.reorder_proposals
    where supplier_number = $supplier and on_hand is not null and unit_cost is not null and price is not null
"""
_INPUTS = (
    *("unique_id", "service_class", "on_hand", "on_order", "on_order_days", "unit_cost", "price"),
    *("holding_rate", "obsolescence_rate", "pack_size", "minimum_order", "lead_days_mean", "lead_days_sd"),
)
_FORECASTS = """
    select forecasts.item as unique_id, forecasts.ds, mean, lo80, hi80, lo95, hi95
    from marts.unit_forecasts as forecasts
    inner join marts.reorder_proposals as proposals using (item)
    where proposals.supplier_number = $supplier
"""
_SUPPLIERS = "select supplier_number, name from marts.dim_suppliers order by supplier_number"


@dataclass(frozen=True)
class SupplierDelay:
    """The answer, of which supplier, and the last day its forecasts have seen."""

    supplier_number: int
    supplier: str
    days: int
    cutoff: date
    delay: "Delay"


def find_supplier(session: Session, wanted: str) -> tuple[int, str]:
    """Number and name of a supplier that is named by either; raises BadRequest, naming those like it."""
    rows = session.query(_SUPPLIERS).to_pylist()
    names = {int(row["supplier_number"]): str(row["name"] or row["supplier_number"]) for row in rows}
    asked = wanted.strip().casefold()
    found = [number for number, name in names.items() if asked in (str(number), name.casefold())]
    if len(found) == 1:
        return found[0], names[found[0]]
    if found:
        raise BadRequest(f"{len(found)} suppliers are called {wanted[:100]!r}; say one's number: {found[:5]}")
    close = difflib.get_close_matches(asked[:100], [name.casefold() for name in names.values()], n=3, cutoff=0.5)
    shown = [f"{number} {name}" for number, name in names.items() if name.casefold() in close] or [
        f"{number} {name}" for number, name in names.items()
    ]
    raise BadRequest(
        f"no supplier {wanted[:100]!r}; {'close to it' if close else 'there are'}: {', '.join(shown[:3]) or 'none'}"
    )


def delay(session: Session, supplier: str, *, days: int, settings: "StockSettings | None" = None) -> SupplierDelay:
    """What it costs when everything open or ordered at a supplier comes `days` later.

    supplier: number or name. settings: those of models/replenishment.yaml unless given.
    Raises BadRequest for days out of range or a supplier without proposals, NoChampion without any.
    """
    from mercurios.jobs.propose import load_spec
    from mercurios.replenishment import LONGEST_DELAY_DAYS, supplier_late

    if not 1 <= days <= LONGEST_DELAY_DAYS:
        raise BadRequest(f"a delay of {days} days: expected 1 to {LONGEST_DELAY_DAYS}")
    require_proposals(session)
    number, name = find_supplier(session, supplier)
    items, forecast = (pl.DataFrame(session.query(sql, {"supplier": number})) for sql in (_ITEMS, _FORECASTS))
    known = items.join(forecast, on="unique_id", how="semi")
    if known.is_empty():
        raise BadRequest(f"nothing of supplier {number} {name} has sold lately with its stock and prices known")
    told = supplier_late(known.select(_INPUTS), forecast, settings or load_spec().stock, days=days)
    cutoff: date = known["cutoff"].item(0)
    return SupplierDelay(number, name, days, cutoff, told)


def require_proposals(session: Session) -> None:
    """Raise NoChampion for a release from before the first proposals."""
    if not session.holds("reorder_proposals"):
        raise NoChampion(f"release {session.release.id} holds no reorder_proposals; run `mercurios propose` first")
