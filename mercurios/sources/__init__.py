"""Sources: where a merchant's records come from.

    with ProHandel(tenant) as source:
        for page in source.read("sale"):
            converted = convert(source.contracts["sale"], page.records)

A source is opened for one tenant and hands out pages of records as the merchant's system sent them. What a record must
look like is declared in `contracts`; `conversion` holds records against it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mercurios.sources.contracts import Contract


@dataclass(frozen=True)
class Page:
    """One page of an entity, numbered from 1. Records are whatever the JSON array held, not yet checked."""

    entity: str
    number: int
    records: Sequence[object] = field(repr=False)


class Source(Protocol):
    """One tenant's system. The tenant is bound when the source is opened."""

    @property
    def tenant_id(self) -> str:
        """The tenant whose records come from here."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The entities this source can deliver, by name."""

    def read(self, entity: str) -> Iterator[Page]:
        """Stream all records of an entity, one page in memory at a time.

        Raises SourceError; pages already handed out are then an unknown part of the whole.
        """
