"""Making: records and values made up from what is listed, by a seed.

rows = made_up(listing, 3, random.Random(1), late=timedelta(hours=6))
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from mercurios.sandbox.fitting import fitted
from mercurios.sandbox.listing import Listing
from mercurios.sandbox.pages import View
from mercurios.sandbox.receipts import BASE
from mercurios.sandbox.shapes import Shape

_COUNTED = {"sale": "receiptNumber", "inventory": "categoryNumber", "promotion": "categoryNumber", "size": "position"}
_CHANGING = {
    "article": "price",
    "articlesize": "stockQuantity",
    "branch": "regionNumber",
    "category": "labelNumber",
    "country": "searchTerm",
    "credit": "amountRedeemed",
    "currency": "course",
    "customer": "loyalityPoints",
    "inventory": "type",
    "invoice": "amountCleared",
    "label": "searchTerm",
    "order": "overallDiscount",
    "payment": "status",
    "promotion": "share",
    "sale": "returnReasonNumber",
    "season": "searchTerm",
    "size": "name",
    "staff": "jobTitle",
    "supplier": "shipmentOptionNumber",
    "voucher": "amountRedeemed",
}


def drawn(view: View, count: int, chance: random.Random) -> list[str]:
    """Ids of `count` different rows, or of all when there are fewer."""
    positions = sorted(chance.sample(range(view.rows), min(count, view.rows)))
    return [str(view.frame.item(position, "id")) for position in positions]


def other_value(shape: Shape, chance: random.Random) -> Mapping[str, object]:
    """A new value for the field that changes most often in the life of such a record; none is personal."""
    name = _CHANGING.get(shape.entity)
    if name is None:
        return {}
    number = chance.randint(1, 10_000)
    values = {"float": number / 4, "int": number, "str": f"value {number}"}
    return {name: values[shape.fields[name].kind]}


def made_up(listing: Listing, count: int, chance: random.Random, *, late: timedelta) -> pl.DataFrame:
    """`count` records like those listed, with free business numbers; none when nothing is listed.

    Where they have a day it is the day of the newest change. late: so long before it they say they happened and, if
    not zero, were changed.
    """
    frame = listing.view.frame
    if frame.is_empty():
        return frame.clear()
    moment = listing.newest_change() - late
    times = {"date": datetime(moment.year, moment.month, moment.day)} | ({"lastChange": moment} if late else {})
    records = []
    for step in range(1, count + 1):
        like = frame.slice(chance.randrange(frame.height), 1)
        record = like.drop("id", *(["lastChange"] if "lastChange" in like.columns else []))
        records.append(_moved(listing.shape, _numbered(listing.shape, frame, record, step), times))
    return pl.concat(records)


def _numbered(shape: Shape, frame: pl.DataFrame, record: pl.DataFrame, step: int) -> pl.DataFrame:
    """The record with a business number that nothing listed has: the `step`th after the highest of its counter."""
    name = _COUNTED.get(shape.entity, shape.key[0])
    if name not in record.columns:
        return record
    if record.schema[name] == pl.String:
        return record.with_columns(pl.format("{}-{}", name, pl.lit(frame.height + step)).alias(name))
    used = frame if shape.entity != "sale" else _register(frame, record)
    highest = used[name].max()
    return record.with_columns((pl.lit(highest) + step).cast(record.schema[name]).alias(name))


def _register(sale: pl.DataFrame, record: pl.DataFrame) -> pl.DataFrame:
    """Sale lines of the same branch and register."""
    number = record["receiptNumber"].item() // BASE
    same = pl.col("receiptNumber") // BASE == number
    if "branchNumber" in sale.columns:
        same &= pl.col("branchNumber") == record["branchNumber"].item()
    return sale.lazy().filter(same).select("receiptNumber").collect()


def _moved(shape: Shape, record: pl.DataFrame, times: Mapping[str, datetime]) -> pl.DataFrame:
    columns = [pl.Series(name, [time]) for name, time in times.items() if name in shape.fields]
    return record.with_columns(
        fitted(column, record.schema[column.name]) if column.name in record.columns else column for column in columns
    )
