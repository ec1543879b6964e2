"""Files: records that a merchant drops into a folder or bucket, as CSV, Parquet or Excel.

    with FileDrop(tenant, done=frozenset({"sale_2025-03-01.csv sha256:…"})) as source:
        for page in source.read("sale"):
            page.records, page.origin

A file belongs to the entity its name, or the folder it lies in, begins with: `sale_2025-03-01.csv`, `Sales.xlsx`,
`sale/2025/03.parquet`. Other folders are not looked into, so what is done with can be moved away. Each file is read
once, by its name and the digest of its content: a file that is written anew is read anew.

Records come out as the API would send them, under its field names, which a file may write in any case and with
underscores or blanks. Texts are read as `german` says; what cannot be read stays the text it is, so that the contract
quarantines the record. Personal fields are left behind. A record without id gets one made of its business key, one
without lastChange the time of its file, one without isDeleted is not deleted.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import IO, Self
from zoneinfo import ZoneInfo

import polars as pl
import structlog

from mercurios.errors import ConfigError, NotOffered, SourceError
from mercurios.progress import tell
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS, Contract, Field, Kind, similar
from mercurios.sources.conversion import Misfit
from mercurios.sources.folders import Folder, Found, open_folder
from mercurios.sources.german import Separator, decided, moment, separators_in
from mercurios.sources.tabular import CONTENT, SUFFIXES, Slice, Table, open_table, plain, readable
from mercurios.sources.values import values_of
from mercurios.tenancy import FilesSource, Tenant

PAGE_ROWS = 5_000
MOST_NAMES = 10
_CHUNK_BYTES = 1 << 20
_IDS = uuid.UUID("6f0c1a52-8a0b-5f0e-9d57-2f1f6f6f0c1a")
_NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER})


class FileDrop:
    """The source of one tenant's records. Not for several threads at once."""

    def __init__(
        self,
        tenant: Tenant,
        done: frozenset[str] = frozenset(),
        *,
        page_rows: int = PAGE_ROWS,
        folder: Folder | None = None,
    ) -> None:
        """Bind the source to a tenant; `done` are the origins of files that were read before."""
        if not isinstance(tenant.source, FilesSource):
            raise ConfigError(f"tenant {tenant.id} has no `kind: files` source")
        self._tenant = tenant
        self._done = done
        self._page_rows = page_rows
        self._url = tenant.source.url
        self._folder = folder or open_folder(self._url)

    def __repr__(self) -> str:
        return f"FileDrop(tenant={self._tenant.id!r}, url={self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open between two reads."""

    @property
    def tenant_id(self) -> str:
        """The tenant whose records come from here."""
        return self._tenant.id

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The entities that can be read, by name."""
        return CONTRACTS

    @property
    def is_listing(self) -> bool:
        """A drop of files does not tell what is gone."""
        return False

    def probe(self) -> str:
        """List the files; tells whose they are. Raises SourceError when there is none."""
        files, lost = self._listed
        if not files:
            told = f"; {_left_alone(lost)}" if lost else ""
            raise SourceError(
                f"tenant {self.tenant_id}: no file of an entity, e.g. sale_2025-03-01.csv, in {self._url}{told}"
            )
        told = f"\n{_left_alone(lost)}" if lost else ""
        return "files of " + ", ".join(f"{entity} ({len(found)})" for entity, found in files.items()) + told

    def can_read(self, entity: str, window: Window) -> bool:
        """Files select nothing."""
        return window.is_everything

    @property
    def files(self) -> Mapping[str, tuple[Found, ...]]:
        """The files of every entity that has some, oldest first, read or not; raises SourceError."""
        return self._listed[0]

    @cached_property
    def _listed(self) -> tuple[Mapping[str, tuple[Found, ...]], tuple[str, ...]]:
        """The files by entity, listed once, and the names of those that belong to none, which are told."""
        assigned: dict[str, list[Found]] = {}
        for found in self._folder.files():
            if found.name.lower().endswith(SUFFIXES):
                assigned.setdefault(entity_of(found.name) or "", []).append(found)
        lost = tuple(found.name for found in assigned.pop("", []) if "/" not in found.name)
        if lost:
            tell(f"ingest {self.tenant_id}: {_left_alone(lost)}")
            structlog.get_logger(__name__).info("files of no entity", tenant=self.tenant_id, files=lost)
        return {entity: tuple(files) for entity, files in assigned.items()}, lost

    def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
        """Stream the records of all files that were not read yet, the oldest file first.

        Raises NotOffered when there is no file of the entity and never was, and SourceError naming the file that cannot
        be read.
        """
        if start or not window.is_everything:
            raise SourceError(f"tenant {self.tenant_id}: files are read whole, got {window} from record {start} on")
        files = self.files.get(entity, ())
        if not files and entity not in map(entity_of, self._done):
            names = ", ".join(f"{entity}*{suffix}" for suffix in SUFFIXES)
            raise NotOffered(f"tenant {self.tenant_id}: no file of {entity}; expected {names} in {self._url}")
        waiting: Page | None = None
        position = 0
        for origin, part in self._unread(CONTRACTS[entity], files):
            if waiting is not None:
                yield waiting
            waiting = Page(entity, position, position + len(part.records), part.records, origin, part.rows)
            position += len(part.records)
        if waiting is not None:
            yield replace(waiting, end=None)

    def _unread(self, contract: Contract, files: Sequence[Found]) -> Iterator[tuple[str, "_Part"]]:
        for found in files:
            with self._folder.open(found.name) as file:
                origin = f"{found.name} sha256:{_digest(file)}"
                if origin not in self._done:
                    for part in _parts(self._tenant, contract, found, file, self._page_rows):
                        yield origin, part


def asked_of_files(contract: Contract) -> Iterator[tuple[str, str, str]]:
    """What a file of an entity is asked for: field, kind, and whether it must be there, those that must first."""
    given = {"lastChange": "may; else the time of the file", "isDeleted": "may; else no"}
    if contract.business_key:
        given["id"] = f"may; else made of {', '.join(contract.business_key)}"
    needs = {field.name: given.get(field.name) or ("may" if field.is_nullable else "must") for field in contract.kept}
    for field in sorted(contract.kept, key=lambda each: needs[each.name] != "must"):
        yield field.name, field.kind.value, needs[field.name]


def _left_alone(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return (
        f"not read: {', '.join(names[:MOST_NAMES])}{more}: a file's name has to begin with its entity's, "
        "such as sale_2025-03.csv or article.xlsx; `mercurios tenant fields` lists them"
    )


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def entity_of(name: str) -> str | None:
    """The entity a file belongs to, by its first folder or, outside of any, by its own name."""
    first = name.partition("/")[0].lower()
    match = _ENTITY.match(first)
    if match is None:
        return None
    return next(entity for entity in CONTRACTS if match[entity] is not None)


def _named(entity: str) -> str:
    """Pattern of the names an entity goes by: its own, its plural, and for articlesize that of two words."""
    plural = rf"{entity[:-1]}ies" if entity.endswith("y") else rf"{entity}(?:e?s)?"
    return rf"(?P<{entity}>{entity}|{plural}|{entity.replace('articlesize', 'article[ _-]sizes?')})(?![a-zäöüß])"


_ENTITY = re.compile("|".join(_named(entity) for entity in sorted(CONTRACTS, key=len, reverse=True)))


@dataclass(frozen=True)
class _Column:
    """One column of a file: its place, the name its values go by, and the field, where the contract has it."""

    place: str
    name: str
    field: Field | None

    @property
    def is_numeric(self) -> bool:
        return self.field is not None and self.field.kind in _NUMERIC


@dataclass(frozen=True)
class _Part:
    """Some records of a file, each with the row it stands in."""

    records: list[object]
    rows: list[int]


def _parts(tenant: Tenant, contract: Contract, found: Found, file: IO[bytes], rows: int) -> Iterator[_Part]:
    """Records of one file, slice by slice; of an empty one a slice without any, so that it counts as read."""
    table = open_table(file, found.name, frozenset(map(plain, contract.known)))
    columns = _columns(contract, table, found.name)
    separators = _separators(table, columns, rows)
    completion = _Completion(tenant, contract, found)
    is_empty = True
    for part in table.slices(rows) if columns else ():
        is_empty = False
        with readable(found.name, CONTENT):
            values = _values(part, columns, separators, completion.zone)
        strangers = [Misfit(f"{found.name} row {row}: {told}") for row, told in part.strangers.items()]
        yield _Part(completion.records(values) + strangers, [*part.rows, *part.strangers])
    if is_empty:
        yield _Part([], [])


def _columns(contract: Contract, table: Table, name: str) -> list[_Column]:
    """What the columns are; personal ones are left out. Raises SourceError when no, or not one, name fits a field."""
    known = {plain(each): each for each in contract.known}
    fields = {field.name: field for field in contract.kept}
    named = [(f"{place}", known.get(plain(each), each)) for place, each in enumerate(table.names)]
    names = [each for _, each in named]
    if names and not fields.keys() & set(names):
        expected = ", ".join(list(fields)[:6])
        alike = "; ".join(
            f"{each} could be {' or '.join(could)}" for each in names if (could := similar(contract, each))
        )
        raise SourceError(  # other names are not told: without a header they would be somebody's data
            f"{name} has no column of {contract.entity}; {alike or f'expected such as {expected}'}; name the columns "
            f"in the first row, `mercurios tenant fields {contract.entity}` lists them"
        )
    if twice := {each for each in names if names.count(each) > 1}:
        told = sorted(twice & contract.known) + ["that no contract names"] * bool(twice - contract.known)
        raise SourceError(f"{name} has more than one column {', '.join(told)}; rename or remove the others")
    return [_Column(place, each, fields.get(each)) for place, each in named if each not in contract.personal]


def _separators(table: Table, columns: Sequence[_Column], rows: int) -> dict[str, Separator | None]:
    """How each numeric column writes decimals, by its own evidence, else by that of all.

    Excel's numbers become texts where they stand among texts, so there the texts around them are no evidence.
    """
    numeric = [column for column in columns if column.is_numeric]
    found: dict[str, frozenset[Separator]] = {column.place: frozenset() for column in numeric}
    for part in table.slices(rows) if numeric and not table.is_mixed else ():
        for column in numeric:
            if part.frame[column.place].dtype == pl.String:
                found[column.place] |= separators_in(part.frame[column.place])
    of_all = decided(each for every in found.values() for each in every)
    return {place: decided(every) if every else of_all for place, every in found.items()}


def _values(
    part: Slice, columns: Sequence[_Column], separators: Mapping[str, Separator | None], zone: ZoneInfo
) -> dict[str, list[object]]:
    return {
        column.name: values_of(part.frame[column.place], column.field, separators.get(column.place), zone)
        for column in columns
    }


@dataclass(frozen=True)
class _Completion:
    """Gives the records of one file what the API sends and files may lack."""

    tenant: Tenant
    contract: Contract
    found: Found

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tenant.time_zone)

    def records(self, values: dict[str, list[object]]) -> list[object]:
        """One record a row."""
        rows = len(next(iter(values.values()), []))
        for name, given in self._defaults().items():
            values[name] = [given if value is None else value for value in values.get(name, [None] * rows)]
        keys = zip(*(values.get(name, [None] * rows) for name in self.contract.business_key), strict=True)
        ids = values.get("id", [None] * rows)
        values["id"] = [self._id(key) if one is None else one for one, key in zip(ids, keys, strict=True)]
        names = tuple(values)
        return [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]

    def _defaults(self) -> dict[str, object]:
        changed: datetime = self.found.modified.astimezone(self.zone).replace(tzinfo=None)
        own = {field.name for field in self.contract.kept}
        given = {"lastChange": changed.isoformat(timespec="microseconds"), "isDeleted": False}
        return {name: value for name, value in given.items() if name in own}

    def _id(self, key: Sequence[object]) -> str | None:
        """The same key makes the same id, whichever way a file writes it; an incomplete key makes none."""
        named = zip(self.contract.business_key, key, strict=True)
        if not key or any(value is None and name not in self.contract.may_lack for name, value in named):
            return None
        plain_key = [self._plain(value) for value in key]
        return str(uuid.uuid5(_IDS, json.dumps([self.tenant.id, self.contract.entity, *plain_key])))

    def _plain(self, value: object) -> object:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return moment(value, self.zone) if isinstance(value, str) else value
