"""The stand-in of the ingest benchmark, in a process of its own: merchants made of the Complete Journey.

    python -m benchmarks.ingest_merchants FOLDER years:10

Serves until its input ends: `journey` as it is, `lines:N` (one merchant with N sale lines) or `years:N` (one merchant
with N years of sale lines). Prints one JSON line when it answers, and one when a day that was asked for
(`day 2018-01-01`) has come. FOLDER holds the prepared data, and below it the credentials of each stand-in.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from mercurios.sandbox import PROFILES, Entities, Rules, RunningSandbox, enrol, prepare_journey, running
from mercurios.sandbox import write_tenant_files as write_tenants
from mercurios.sandbox.identity import uuids
from mercurios.tenancy import Filters

FILTERS = ("modifiedSince", "fromDate", "toDate")
MERCHANT = "south"
YEAR = timedelta(days=364)
RECEIPTS_A_YEAR = 2000
"""More than any register counts in a year of the data."""
CHANGED_MASTERS = 100
"""Articles, and customers, that change on a day."""
Offer = tuple[str, Entities]


def offers(kind: str, share: float, cache: Path) -> list[Offer]:
    """The merchants of a kind, with that share of their sale lines."""
    journey: list[Offer] = [
        (name, {**entities, "sale": _part(entities["sale"], share)}) for name, entities in prepare_journey(cache)
    ]
    what, _, number = kind.partition(":")
    if what == "journey":
        return journey
    if what == "lines":
        return [(MERCHANT, {"sale": _lines([entities["sale"] for _, entities in journey], int(int(number) * share))})]
    entities = dict(journey)[MERCHANT]
    return [(MERCHANT, {**entities, "sale": _years(entities["sale"], int(number))})]


def _part(sale: pl.DataFrame, share: float) -> pl.DataFrame:
    return sale if share >= 1 else sale.gather_every(max(1, round(1 / share)))


def _lines(sales: list[pl.DataFrame], wanted: int) -> pl.DataFrame:
    """So many different sale lines of all merchants; years are added when there are too few."""
    lines = pl.concat(sales)
    return _ordered(_years(lines, -(-wanted // lines.height)).tail(wanted))


def _years(sale: pl.DataFrame, years: int) -> pl.DataFrame:
    """The sale lines and, before them, as many again for every further year, with ids and receipts of their own."""
    if years == 1:
        return sale
    newest = sale.with_columns(pl.col("receiptNumber") + RECEIPTS_A_YEAR * (years - 1))
    return _ordered(pl.concat([_moved(newest, -back) for back in reversed(range(years))]))


def _moved(sale: pl.DataFrame, years: int) -> pl.DataFrame:
    """The same lines in other years; ids depend on the days they are moved to, and registers count on."""
    if not years:
        return sale
    moved = sale.with_columns(
        (pl.col("date") + YEAR * years).cast(sale.schema["date"]),
        (pl.col("lastChange") + YEAR * years).cast(sale.schema["lastChange"]),
        pl.col("receiptNumber") + RECEIPTS_A_YEAR * years,
    )
    return moved.with_columns(uuids(f"{moved.item(0, 'lastChange')} {years}", np.arange(sale.height, dtype=np.uint64)))


def _ordered(sale: pl.DataFrame) -> pl.DataFrame:
    """As the API lists them."""
    return sale.sort("branchNumber", "receiptNumber", "receiptPosition", descending=[False, True, False])


def add_day(sandbox: RunningSandbox, sale: pl.DataFrame, day: date, merchant: str = MERCHANT) -> int:
    """Sell again what was sold a year before; some of the articles and customers change. Returns the new lines."""
    lines = _moved(sale.filter(pl.col("date") == day - YEAR), 1)
    sandbox.insert(merchant, "sale", lines)
    for entity, number in (("article", "articleNumber"), ("customer", "customerNumber")):
        masters = sandbox.served[merchant].listing(entity).view.frame
        sold = masters.filter(pl.col("number").is_in(lines[number].implode()))["id"].head(CHANGED_MASTERS)
        sandbox.update(merchant, entity, sold.to_list(), {})
    return lines.height


def main(folder: Path, kind: str, share: float) -> None:
    """Serve; answer every line of the input with one of the output."""
    tenants = folder / "tenants" / kind.replace(":", "-")
    merchants = enrol([(name, entities, PROFILES[name]) for name, entities in offers(kind, share, folder)], tenants)
    filters = Filters(*FILTERS) if kind.startswith("years") else None
    with running(merchants, rules=Rules(filters=filters)) as sandbox:
        write_tenants(merchants, tenants, sandbox.auth_url)
        rows = {
            merchant.name: {name: frame.height for name, frame in merchant.entities.items()} for merchant in merchants
        }
        _say({"tenants": str(tenants), "auth_url": sandbox.auth_url, "rows": rows})
        for line in sys.stdin:
            day = date.fromisoformat(line.split()[-1])
            _say({"lines": add_day(sandbox, merchants[0].entities["sale"], day)})


def _say(answer: object) -> None:
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
