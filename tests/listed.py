"""A source of records at hand: a listing, two records a page. An exception among them is raised where it stands."""

from collections.abc import Iterator, Mapping, Sequence

from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS, Contract

CHANGED = "2025-03-01T10:11:12.12345"


class ListSource:
    """One tenant's records by entity; selects nothing by itself. `reads` tells what was asked for."""

    is_listing = True

    def __init__(
        self,
        records: Mapping[str, Sequence[object]],
        tenant_id: str = "north",
        contracts: Mapping[str, Contract] = CONTRACTS,
    ) -> None:
        self.tenant_id = tenant_id
        self.contracts = contracts
        self.records = records
        self.reads: list[tuple[str, Window, int]] = []

    def can_read(self, entity: str, window: Window) -> bool:
        return window.is_everything

    def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
        self.reads.append((entity, window, start))
        records = self.records.get(entity, ())
        for first in range(start, max(len(records), 1), 2):
            page = records[first : first + 2]
            for record in page:
                if isinstance(record, Exception):
                    raise record
            yield Page(entity, first, first + 2 if first + 2 < len(records) else None, page)


def label(record_id: str, number: object = 1, **more: object) -> dict[str, object]:
    """A record of the smallest entity."""
    return {"id": record_id, "number": number, "name": "M", "lastChange": CHANGED, "isDeleted": False, **more}
