"""ProHandel: one merchant's REST API, read page by page.

    with ProHandel(tenant) as source:
        for page in source.read("sale"):
            print(page.start, len(page.records))

Facts and open points about the API are in the reference. There is no total count, so an entity is read until the
server says that no more pages are available. No filter is verified: a window is asked for only where the tenant file
names the parameters, and whether the server kept to it is for the reader to see.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import httpx

from mercurios.errors import AuthenticationFailed, ConfigError, MalformedPage, NotOffered
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.connection import Connection
from mercurios.sources.contracts import CONTRACTS, Contract
from mercurios.sources.paging import PageSize, Sheet, records_from
from mercurios.sources.prohandel_pages import Ask, read_sheet
from mercurios.sources.prohandel_tokens import TokenKeeper, Tokens
from mercurios.sources.retrying import Patience, TooHeavy, persist
from mercurios.tenancy import ProHandelSource, Tenant

MOST_IDLE_PAGES = 20
"""A server that sends nothing, or the same page, more than this many times in a row and promises more is not believed
any longer."""
PROBED = "branch"
MOST_SIZES = 16
"""A server that speaks of another page size this often over one page is not believed any longer."""


class _TokenRefused(Exception):
    """The server answers 401."""


class ProHandel:
    """The source of one tenant's records. Not for several threads at once."""

    def __init__(
        self, tenant: Tenant, *, patience: Patience | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Bind the source to a tenant; nothing is sent before the first `read`. `transport` is for tests."""
        if not isinstance(tenant.source, ProHandelSource):
            raise ConfigError(f"tenant {tenant.id}: expected a source of the kind prohandel, got another")
        self._tenant_id = tenant.id
        self._settings = tenant.source
        self._connection = Connection(tenant.id, tenant.source, patience or Patience(), transport)
        self._keeper = TokenKeeper(tenant.source, self._connection)

    def __repr__(self) -> str:
        return f"ProHandel(tenant={self._tenant_id!r}, auth_url={self._settings.auth_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    @property
    def tenant_id(self) -> str:
        """The tenant whose records come from here."""
        return self._tenant_id

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The entities that can be read, by name."""
        return CONTRACTS

    @property
    def is_listing(self) -> bool:
        """What a read without bounds does not list is gone."""
        return True

    @property
    def calls(self) -> int:
        """Number of calls sent so far, logins and repeats included."""
        return self._connection.calls

    def probe(self) -> str:
        """Log in and read one page; tells what came. Raises SourceError."""
        try:
            page = next(self.read(PROBED))
        except NotOffered:
            return f"logged in; {PROBED} is not offered"
        return f"logged in; the first page of {PROBED} has {len(page.records)} records"

    def can_read(self, entity: str, window: Window) -> bool:
        """Whether the tenant file names the parameters that select these records."""
        try:
            self._selected(entity, window)
        except ConfigError:
            return False
        return True

    def read(self, entity: str, window: Window = EVERYTHING, start: int = 0) -> Iterator[Page]:
        """Stream records of an entity in the server's order, one page at a time, from record `start` on.

        Raises AuthenticationFailed (key, secret or token), NotOffered, SourceUnavailable (no answer within the
        patience), MalformedPage (an answer that is no page, or pages without an end), BudgetSpent, and ConfigError for
        a window that cannot be read.
        """
        selected = self._selected(entity, window)
        sizes = PageSize(self._settings.page_size, slow_seconds=self._connection.patience.slow_seconds)
        end: int | None = start
        idle, mark = 0, None
        while end is not None:
            page, sheet = self._page(entity, selected, end, sizes)
            idle = idle + 1 if not page.records or sheet.mark == mark else 0
            end, mark, seconds = page.end, sheet.mark, sheet.seconds
            if idle > MOST_IDLE_PAGES and end is not None:
                raise MalformedPage(
                    f"{entity} up to record {end}: {idle} pages in a row without anything new, and still more are "
                    f"promised; ask ProHandel"
                )
            del sheet
            yield page
            del page  # the next page is fetched when this one is gone
            if end is not None:
                sizes.served(seconds, end)

    def _selected(self, entity: str, window: Window) -> dict[str, str]:
        """The window as query parameters; ConfigError where the contract or the tenant file has none for it."""
        contract, names = CONTRACTS.get(entity), self._settings.filters
        changed, day = (contract.changed_column, contract.day_column) if contract else (None, None)
        bounds = (
            ("changed_from", window.changed_from, names.changed_from, changed),
            ("day_from", window.day_from, names.day_from, day),
            ("day_until", window.day_until, names.day_until, day),
        )
        selected = {}
        for bound, value, name, column in bounds:
            if value is None:
                continue
            if not name or not column:
                raise ConfigError(
                    f"tenant {self._tenant_id}: {entity} cannot be read by {bound}; expected a name for it under "
                    f"filters in the tenant file, and an entity that has such a field"
                )
            selected[name] = value.isoformat()
        return selected

    def _page(self, entity: str, selected: Mapping[str, str], offset: int, sizes: PageSize) -> tuple[Page, Sheet]:
        """The page that holds the record at `offset`, from there on."""
        for _ in range(MOST_SIZES):
            sheet = self._sheet(entity, selected, offset, sizes)
            span = sizes.span(sheet, offset)
            if span is not None:
                records = records_from(sheet, span, offset)
                return Page(entity, offset, span.stop if sheet.is_more else None, records), sheet
        raise MalformedPage(f"{entity} record {offset}: the server speaks of another page size with every answer")

    def _sheet(self, entity: str, selected: Mapping[str, str], offset: int, sizes: PageSize) -> Sheet:
        """Ask for smaller pages until one comes through."""
        while True:
            ask = Ask(entity, selected, sizes.number(offset), sizes.current)
            try:
                return self._asked(ask, may_shrink=sizes.can_shrink)
            except TooHeavy:
                sizes.shrink()

    def _asked(self, ask: Ask, *, may_shrink: bool) -> Sheet:
        """Ask with the token at hand, and once more with a fresh one when it is refused."""
        for tokens in (self._keeper.current, self._keeper.renewed):
            try:
                return self._persist(ask, tokens(), may_shrink=may_shrink)
            except _TokenRefused:
                continue
        raise AuthenticationFailed(
            f"tenant {self._tenant_id}: {ask} answered 401 with a fresh token; the API key may lack the permission to "
            f"read {ask.entity}"
        )

    def _persist(self, ask: Ask, tokens: Tokens, *, may_shrink: bool) -> Sheet:
        connection, url = self._connection, f"{tokens.api_url}/{ask.entity}"

        def attempt() -> Sheet:
            answer = connection.send("GET", url, token=tokens.access, params=ask.parameters)
            if answer.status == httpx.codes.UNAUTHORIZED:
                raise _TokenRefused
            return read_sheet(answer, ask)

        return persist(attempt, connection.patience, may_shrink=may_shrink)
