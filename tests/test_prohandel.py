"""The ProHandel connector gets every record, at any page size and in spite of what passes, or says why not."""

import gc
import gzip
import json
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mercurios.errors import (
    AuthenticationFailed,
    BudgetSpent,
    ConfigError,
    MalformedPage,
    NotOffered,
    SourceError,
    SourceUnavailable,
    Transient,
)
from mercurios.sandbox import Fault, Faults, Merchant, NotJson, Profile, Rules, RunningSandbox, Status, running
from mercurios.sources import EVERYTHING, Page, Source, Window, connection, paging
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.paging import GOOD_RUN, PageSize
from mercurios.sources.prohandel import MOST_IDLE_PAGES, ProHandel
from mercurios.sources.retrying import FEW_TRIES, HEAVY_TRIES, Patience
from mercurios.tenancy import FilesSource, Filters, Tenant
from tests.ports import serving
from tests.prohandel_double import (
    KEY,
    SECRET,
    Answer,
    Double,
    ListingDouble,
    Waits,
    content,
    cut,
    silent,
    status,
    tenant,
    unreachable,
)
from tests.tiny import tiny_merchant

ONE, TWO = b'[{"id": "1"}, {"id": "2"}]', b'[{"id": "3"}]'
MARCH_1, MARCH_8 = date(2025, 3, 1), date(2025, 3, 8)
ALL_FILTERS = Filters(changed_from="since", day_from="from", day_until="until")


def read_all(source: ProHandel, entity: str, window: Window = EVERYTHING, start: int = 0) -> list[Any]:
    return [record for page in source.read(entity, window, start) for record in page.records]


def source_of(
    double: Double, folder: Path, waits: Waits | None = None, *, page_size: int = 2, **more: Any
) -> ProHandel:
    patience = {name: more.pop(name) for name in list(more) if name in Patience.__dataclass_fields__}
    bound = tenant(folder, page_size=page_size, **more)
    return ProHandel(bound, transport=double.transport, patience=(waits or Waits()).patience(**patience))


def sizes_asked(double: Double) -> list[int]:
    return [int(parameters["pagesize"]) for parameters in double.parameters]


# --- against the sandbox ---------------------------------------------------------------------------------------------


def merchant(name: str, faults: Faults | None = None) -> Merchant:
    return Merchant(
        name, KEY if name == "north" else "other-key", SECRET, tiny_merchant(1), Profile(), faults or Faults()
    )


def opened(folder: Path, sandbox: RunningSandbox, patience: Patience | None = None, page_size: int = 1000) -> ProHandel:
    return ProHandel(tenant(folder, auth_url=sandbox.auth_url, page_size=page_size), patience=patience)


def test_is_a_source(tmp_path: Path) -> None:
    source: Source = source_of(Double({}), tmp_path)
    assert (source.tenant_id, source.is_listing, source.contracts) == ("north", True, CONTRACTS)


def test_reads_every_record_of_every_entity_once(tmp_path: Path) -> None:
    north = merchant("north")
    with running([north], rules=Rules(max_page_size=97)) as sandbox, opened(tmp_path, sandbox) as source:
        for entity, frame in north.entities.items():
            if entity in source.contracts:
                ids = [record["id"] for record in read_all(source, entity)]
                assert len(ids) == len(set(ids)) == frame.height, entity


def test_goes_on_at_any_record_of_a_server_that_caps_its_pages(tmp_path: Path) -> None:
    with running([merchant("north")], rules=Rules(max_page_size=97)) as sandbox, opened(tmp_path, sandbox) as source:
        records = read_all(source, "sale")
        for start in (0, 1, 96, 97, 100, 250, 397, 398, 399, 5000):
            assert read_all(source, "sale", start=start) == records[start:], start


@pytest.mark.parametrize("code", [401, 429, 500, 503])
def test_what_passes_is_waited_for(tmp_path: Path, code: int) -> None:
    faults = Faults(orders=[Fault(Status(code, 7), "sale", page=2)])
    waits = Waits()
    with (
        running([merchant("north", faults)]) as sandbox,
        opened(tmp_path, sandbox, waits.patience(), page_size=100) as source,
    ):
        assert len(read_all(source, "sale")) == tiny_merchant(1)["sale"].height
    assert waits.slept == ([] if code == 401 else [7.0])


def test_what_lasts_is_given_up(tmp_path: Path) -> None:
    faults = Faults(orders=[Fault(Status(503, 3), "sale", page=1, times=None)])
    waits = Waits()
    words = "/api/v2/sale: the server answers 503 and asks to wait 3 s"
    with (
        running([merchant("north", faults)]) as sandbox,
        opened(tmp_path, sandbox, waits.patience(attempts=4)) as source,
        pytest.raises(SourceUnavailable, match=words),
    ):
        read_all(source, "sale")
    assert waits.slept == [3.0, 3.0, 3.0]


def test_a_page_that_is_no_json_names_entity_page_and_beginning(tmp_path: Path) -> None:
    waits = Waits()
    faults = Faults(orders=[Fault(NotJson(), "sale", page=3, times=None)])
    with (
        running([merchant("north", faults)]) as sandbox,
        opened(tmp_path, sandbox, waits.patience(), page_size=100) as source,
        pytest.raises(MalformedPage, match=r"sale page 3 \(of 100 records\): expected a JSON array, got .*<html>"),
    ):
        read_all(source, "sale")
    assert len(waits.slept) == FEW_TRIES - 1


def test_a_wrong_secret_is_said_without_saying_it(tmp_path: Path) -> None:
    with running([merchant("north")]) as sandbox:
        bound = tenant(tmp_path, auth_url=sandbox.auth_url)
        (tmp_path / "north.secret").write_text("a-wrong-secret")
        with ProHandel(bound) as source, pytest.raises(AuthenticationFailed, match=r"file:north\.secret") as caught:
            read_all(source, "sale")
    assert "a-wrong-secret" not in str(caught.value) + repr(source)


# --- windows -------------------------------------------------------------------------------------------------------

SINCE, FROM, UNTIL = ({"changed_from": "since"}, {"day_from": "from"}, {"day_until": "until"})
CHANGED = Window(changed_from=datetime(2025, 3, 1))
OPEN_DAYS, DAYS = Window(day_from=MARCH_1), Window(day_from=MARCH_1, day_until=MARCH_8)


@pytest.mark.parametrize(
    ("entity", "named", "window", "can_read"),
    [
        ("sale", {}, EVERYTHING, True),
        ("staff", {}, EVERYTHING, True),
        ("sale", {}, CHANGED, False),
        ("sale", SINCE, CHANGED, True),
        ("customer", SINCE, CHANGED, True),
        ("order", SINCE, CHANGED, False),  # orders carry no lastChange
        ("sale", SINCE, OPEN_DAYS, False),
        ("sale", FROM, OPEN_DAYS, True),
        ("sale", FROM, DAYS, False),
        ("sale", FROM, CHANGED, False),
        ("sale", FROM | UNTIL, DAYS, True),
        ("sale", UNTIL, DAYS, False),
        ("sale", UNTIL, Window(day_until=MARCH_8), True),
        ("article", FROM | UNTIL, DAYS, False),  # articles have no day of business
        ("unicorn", SINCE | FROM | UNTIL, CHANGED, False),
    ],
)
def test_windows_are_read_where_the_tenant_file_names_the_parameters(
    tmp_path: Path, entity: str, named: dict[str, str], window: Window, can_read: bool
) -> None:
    with source_of(ListingDouble(3), tmp_path, filters=Filters(**named)) as source:
        assert source.can_read(entity, window) is can_read
        if not can_read:
            with pytest.raises(ConfigError, match=f"{entity} cannot be read by"):
                read_all(source, entity, window)
            assert source.calls == 0


@pytest.mark.parametrize(
    ("window", "parameters"),
    [
        (EVERYTHING, {}),
        (CHANGED, {"since": "2025-03-01T00:00:00"}),
        (Window(changed_from=datetime(2025, 3, 1, 10, 11, 12, 130)), {"since": "2025-03-01T10:11:12.000130"}),
        (OPEN_DAYS, {"from": "2025-03-01"}),
        (DAYS, {"from": "2025-03-01", "until": "2025-03-08"}),
    ],
)
def test_a_window_is_asked_for_on_every_page(tmp_path: Path, window: Window, parameters: dict[str, str]) -> None:
    double = ListingDouble(3)
    with source_of(double, tmp_path, filters=ALL_FILTERS) as source:
        assert len(read_all(source, "sale", window)) == 3
    assert double.parameters == [parameters | {"page": number, "pagesize": "2"} for number in ("1", "2")]


def test_a_filter_cannot_take_the_place_of_the_page_number(tmp_path: Path) -> None:
    double = ListingDouble(3)
    with source_of(double, tmp_path, filters=Filters(changed_from="page")) as source:
        assert len(read_all(source, "sale", CHANGED)) == 3


# --- pages ---------------------------------------------------------------------------------------------------------


def test_pages_are_asked_for_one_by_one(tmp_path: Path) -> None:
    double = Double({"sale": [ONE, TWO]})
    with source_of(double, tmp_path) as source:
        pages = source.read("sale")
        assert double.asked == []
        first = next(pages)
        assert (first.entity, first.start, first.end, first.origin) == ("sale", 0, 2, None)
        assert double.asked == ["POST /api/v4/token", "GET /api/v2/sale"]
        assert [(page.start, page.end, page.records) for page in pages] == [(2, None, [{"id": "3"}])]


def heavy(draws: Iterator[Answer]) -> Callable[[int], Answer | None]:
    """Faults for pages that can still be made smaller."""
    return lambda asked: next(draws, None) if asked > paging.LEAST else None


CUT_JSON = content(b'[{"id": "0"}, {"id"')
HEAVY: list[Answer] = [status(413), status(500), status(504), silent, cut, CUT_JSON]


@dataclass(frozen=True)
class Story:
    """A read, and what the server does to it: from page `capped_after` on it caps the page size at `cap`."""

    total: int
    page_size: int
    start: int
    cap: int
    capped_after: int = 0
    least: int = 2
    faults: tuple[Answer | None, ...] = ()
    hidden: frozenset[int] = frozenset()

    def read(self, folder: Path, *told: str) -> tuple[ListingDouble, list[Page]]:
        """The server and the pages that were read of it. `told`: what its headers speak of."""

        def size_of(asked: int, number: int) -> int:
            return min(asked, self.cap) if number > self.capped_after else asked

        double = ListingDouble(self.total, size_of=size_of, told=told)
        double.hidden = {str(number) for number in self.hidden}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(paging, "LEAST", self.least)
            patch.setattr(paging, "GOOD_RUN", 2)
            double.faults = heavy(iter(self.faults))
            with source_of(double, folder, page_size=self.page_size) as source:
                return double, list(source.read("sale", start=self.start))


PLACES = st.integers(0, 60)
STORIES = {
    "total": st.integers(0, 60),
    "page_size": st.integers(1, 25),
    "start": st.integers(0, 65),
    "cap": st.integers(1, 25),
    "faults": st.lists(st.sampled_from([None, None, *HEAVY]), max_size=20).map(tuple),
}


@settings(deadline=None, max_examples=150)
@given(st.builds(Story, **STORIES, capped_after=st.integers(0, 6), least=st.integers(1, 5)), st.booleans())
@example(Story(60, 20, 0, cap=7, capped_after=2, least=1, faults=(None, None, HEAVY[0])), True)
def test_pages_join_to_the_listing_whatever_the_server_does_to_their_size(
    tmp_path_factory: pytest.TempPathFactory, story: Story, says_more: bool
) -> None:
    """A cap may come in the middle of the read: the number of the next page then means another record."""
    told = ("size", "more") if says_more else ("size",)
    double, pages = story.read(tmp_path_factory.getbasetemp(), *told)
    assert [record for page in pages for record in page.records] == double.records[story.start :]
    assert [page.start for page in pages] == [story.start, *(page.end for page in pages[:-1])]
    assert pages[-1].end is None
    assert all(page.end is None or page.end > page.start for page in pages)
    assert max(sizes_asked(double)) <= story.page_size


@settings(deadline=None, max_examples=100)
@given(st.builds(Story, **STORIES), st.sampled_from([(), ("more",), ("echo", "more"), ("count", "more"), ("count",)]))
def test_nothing_is_lost_when_no_header_tells_the_true_size(
    tmp_path_factory: pytest.TempPathFactory, story: Story, told: tuple[str, ...]
) -> None:
    double, pages = story.read(tmp_path_factory.getbasetemp(), *told)
    got = dict.fromkeys(record["id"] for page in pages for record in page.records)  # type: ignore[index]
    wanted = [record["id"] for record in double.records[story.start :]]
    assert set(got) >= set(wanted)
    if story.start == 0:
        assert list(got) == wanted


@settings(deadline=None, max_examples=100)
@given(st.builds(Story, **(STORIES | {"start": st.just(0), "faults": st.just(())}), hidden=st.frozensets(PLACES)))
@example(Story(7, page_size=3, start=0, cap=3, hidden=frozenset({0, 1, 2, 4})))
def test_nothing_is_lost_where_pages_have_gaps(tmp_path_factory: pytest.TempPathFactory, story: Story) -> None:
    """A server may leave out records that the key must not see after it has cut the pages."""
    double, pages = story.read(tmp_path_factory.getbasetemp(), "size", "more")
    got = {record["id"] for page in pages for record in page.records}  # type: ignore[index]
    assert got == {str(number) for number in range(story.total)} - set(double.hidden)


def test_gaps_do_not_make_pages_smaller_and_smaller(tmp_path: Path) -> None:
    double = ListingDouble(1000)
    double.hidden = {str(number) for number in range(0, 1000, 7)}
    with source_of(double, tmp_path, page_size=100) as source:
        ids = {record["id"] for record in read_all(source, "sale")}
    assert len(ids) == 1000 - len(double.hidden)
    assert set(sizes_asked(double)) == {100, 85}


@pytest.mark.parametrize("start", [0, 3, 10, 25])
@pytest.mark.parametrize(("page_size", "own"), [(4, 7), (9, 7), (4, 100)])
def test_a_server_may_have_a_page_size_of_its_own(tmp_path: Path, page_size: int, own: int, start: int) -> None:
    double = ListingDouble(25, size_of=lambda *_: own)
    with source_of(double, tmp_path, page_size=page_size) as source:
        assert read_all(source, "sale", start=start) == double.records[start:]


@pytest.mark.parametrize("said", ["5000", "1", "0", "-2", "two", "9" * 400])
def test_a_size_that_is_none_is_not_believed(tmp_path: Path, said: str) -> None:
    double = Double({"sale": [ONE, ONE, ONE]})
    double.headers = lambda number, total: {"X-Pagesize": said, "X-More-Pages-Available": str(number < total)}
    with source_of(double, tmp_path) as source:
        assert len(read_all(source, "sale")) == 6
    assert set(sizes_asked(double)) == {2}


def test_a_server_that_never_keeps_its_size_is_not_believed(tmp_path: Path) -> None:
    double = ListingDouble(10_000, size_of=lambda asked, _: 300 if asked == 1000 else 1000)
    with source_of(double, tmp_path, page_size=1000) as source, pytest.raises(MalformedPage, match="another page size"):
        read_all(source, "sale", start=5000)


HEADERS: list[tuple[str, Callable[[int, int], dict[str, str]], list[bytes]]] = [
    ("a short page ends it", lambda number, _: {"X-Pagesize": "2"}, [ONE, ONE, TWO]),
    ("a full last page costs an empty one", lambda number, _: {"X-Pagesize": "2"}, [ONE, b"[]"]),
    ("without a size only an empty page ends it", lambda number, _: {}, [TWO, TWO, b"[]"]),
    (
        "an empty page in between is none",
        lambda n, total: {"X-More-Pages-Available": str(n < total).upper()},
        [ONE, b"[]", TWO],
    ),
]


@pytest.mark.parametrize(("headers", "pages"), [case[1:] for case in HEADERS], ids=[case[0] for case in HEADERS])
def test_the_end_is_found_whatever_headers_there_are(
    tmp_path: Path, headers: Callable[[int, int], dict[str, str]], pages: list[bytes]
) -> None:
    double = Double({"sale": pages})
    double.headers = headers
    with source_of(double, tmp_path) as source:
        assert len(read_all(source, "sale")) == sum(len(json.loads(page)) for page in pages)


@pytest.mark.parametrize("page", [b"[]", ONE])
def test_pages_without_an_end_are_not_believed(tmp_path: Path, page: bytes) -> None:
    double = Double({"sale": [page] * 1000})
    with source_of(double, tmp_path) as source, pytest.raises(MalformedPage, match="still more are promised"):
        read_all(source, "sale")
    assert len(double.parameters) <= MOST_IDLE_PAGES + 2


def test_pages_that_come_twice_are_handed_out_twice(tmp_path: Path) -> None:
    double = Double({"sale": [ONE, ONE, TWO]})
    with source_of(double, tmp_path) as source:
        assert len(read_all(source, "sale")) == 5


def test_one_page_at_a_time_is_in_memory(tmp_path: Path) -> None:
    double = ListingDouble(10)
    living: list[weakref.ref[Page]] = []

    def sheets() -> int:
        return sum(type(each) is paging.Sheet for each in gc.get_objects())

    gc.collect()
    others = sheets()  # of tests before, in tracebacks that are kept

    def count(asked: int) -> None:
        assert not any(page() for page in living)
        assert sheets() <= others

    double.faults = count
    with source_of(double, tmp_path) as source:
        pages = source.read("sale")
        for _ in range(5):
            living.append(weakref.ref(next(pages)))


def test_pages_are_taken_by_other_threads(tmp_path: Path) -> None:
    double = ListingDouble(20)
    with source_of(double, tmp_path) as source:
        pages, ids = source.read("sale"), []
        for _ in range(5):
            with ThreadPoolExecutor(1) as ahead:
                ids += [record["id"] for record in ahead.submit(next, pages).result().records]
        closer = threading.Thread(target=pages.close)  # type: ignore[attr-defined]
        closer.start()
        closer.join()
        assert ids == [str(number) for number in range(10)]
        assert len(read_all(source, "sale")) == 20


# --- page sizes that fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", HEAVY)
def test_a_page_that_does_not_come_through_is_asked_for_in_halves(tmp_path: Path, answer: Answer) -> None:
    double = ListingDouble(2500)
    double.faults = lambda asked: answer if asked > 250 else None
    with source_of(double, tmp_path, page_size=1000) as source:
        pages = list(source.read("sale", start=1000))
    assert [record for page in pages for record in page.records] == double.records[1000:]
    tries = 1 if answer is HEAVY[0] else HEAVY_TRIES
    assert sizes_asked(double)[: 2 * tries + 1] == [1000] * tries + [500] * tries + [250]


def test_no_smaller_pages_are_asked_for_when_size_is_not_the_reason(tmp_path: Path) -> None:
    for answer in (status(429), unreachable, status(503, Retry_After="5"), content(b"<html>")):
        double = Double({"sale": [ONE]}, first=[answer, answer])
        with source_of(double, tmp_path, page_size=1000) as source:
            read_all(source, "sale")
        assert sizes_asked(double) == [1000] * 3


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        (status(413), SourceError, 1),
        (status(500), SourceUnavailable, 6),
        (silent, SourceUnavailable, 6),
        (CUT_JSON, MalformedPage, FEW_TRIES),
    ],
)
def test_small_pages_are_not_halved_for_ever(
    tmp_path: Path, answer: Answer, error: type[SourceError], tries: int
) -> None:
    double = Double({"sale": [ONE]}, first=[answer] * 100)
    with source_of(double, tmp_path, page_size=60) as source, pytest.raises(error):
        read_all(source, "sale")
    assert sizes_asked(double)[-tries:] == [50] * tries
    assert sizes_asked(double).count(60) == min(tries, HEAVY_TRIES)


def slow_listing(waits: Waits, total: int, seconds: Callable[[int], float]) -> ListingDouble:
    """A listing whose pages take as long as `seconds` says of their size."""

    def take_time(asked: int) -> None:
        waits.time += seconds(asked)

    double = ListingDouble(total)
    double.faults = take_time
    return double


def test_slow_pages_become_smaller_until_they_are_not_and_larger_after_a_good_run(tmp_path: Path) -> None:
    waits = Waits()
    double = slow_listing(waits, 30_000, lambda asked: asked / 20)  # 50 s for 1,000
    with source_of(double, tmp_path, waits, page_size=1000) as source:
        assert read_all(source, "sale") == double.records
    asked = sizes_asked(double)
    assert asked[:3] == [1000, 500, 250]
    assert asked.index(500, 2) - 2 in {GOOD_RUN, GOOD_RUN + 1}  # one page more where 500 does not fit the place
    assert asked.count(1000) == 1
    tried = [place for place, size in enumerate(asked) if size == 500]
    waited = [later - earlier for earlier, later in pairwise(tried)]
    assert len(waited) >= 3
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waited))  # who grew in vain waits longer


def test_a_server_that_is_always_slow_is_not_asked_for_ever_smaller_pages(tmp_path: Path) -> None:
    waits = Waits()
    double = slow_listing(waits, 20_000, lambda asked: 25.0)
    with source_of(double, tmp_path, waits, page_size=1000) as source:
        assert len(read_all(source, "sale")) == 20_000
    assert set(sizes_asked(double)) == {1000, 500}


@settings(deadline=None)
@given(st.integers(1, 10_000), st.lists(st.integers(0, 3), max_size=60))
def test_a_page_size_stays_between_the_least_and_the_tenants(largest: int, events: list[int]) -> None:
    sizes, offset = PageSize(largest, slow_seconds=1), 0
    for event in events:
        before = sizes.current
        if event == 0 and sizes.can_shrink:
            sizes.shrink()
        else:
            offset = sizes.number(offset) * sizes.current
            sizes.served(float(event), offset)
        assert sizes.current <= before or offset % sizes.current == 0  # nothing is read twice for having grown
        assert min(paging.LEAST, largest) <= sizes.current <= largest
        assert (sizes.number(offset) - 1) * sizes.current <= offset < sizes.number(offset) * sizes.current


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(403), NotOffered, "permission to read customer"),
        (status(404), NotOffered, "not offered, or not to this API key"),
        (status(400), NotOffered, "customer page 1"),
        (status(302, Location="https://elsewhere.test"), SourceError, "expected 200, got 302"),
        (status(204), SourceError, "expected 200, got 204"),
        (content(b'{"items": []}'), MalformedPage, "expected a JSON array, got dict"),
        (content(ONE, X_Page="7"), MalformedPage, "expected page 1, got page '7'"),
        (content(ONE, X_More_Pages_Available="maybe"), MalformedPage, "neither True nor False"),
        (status(429, Retry_After="3600"), SourceUnavailable, "asks to wait 3600 s"),
        (status(429, Retry_After="9" * 400), SourceUnavailable, "asks to wait inf s"),
    ],
)
def test_answers_that_end_the_read(tmp_path: Path, answer: Answer, error: type[Exception], words: str) -> None:
    double, waits = Double({"customer": [ONE]}, first=[answer]), Waits()
    with source_of(double, tmp_path, waits) as source, pytest.raises(error, match=words):
        read_all(source, "customer")
    assert waits.slept == []
    assert len(double.parameters) == 1


@pytest.mark.parametrize("answer", [content(b""), content(b"<html>"), CUT_JSON, content(b"\xff[1]"), cut, status(408)])
def test_damaged_answers_are_asked_for_again(tmp_path: Path, answer: Answer) -> None:
    double, waits = Double({"customer": [ONE, TWO]}, first=[answer, answer, None, answer]), Waits()
    with source_of(double, tmp_path, waits) as source:
        assert len(read_all(source, "customer")) == 3
    assert len(waits.slept) == 3


def test_a_refused_filter_is_told_by_its_name(tmp_path: Path) -> None:
    double = Double({"sale": [ONE]}, first=[status(400)])
    with (
        source_of(double, tmp_path, filters=ALL_FILTERS) as source,
        pytest.raises(SourceError, match="whether it knows since") as caught,
    ):
        read_all(source, "sale", CHANGED)
    assert not isinstance(caught.value, NotOffered)


def test_an_entity_that_was_offered_a_page_ago_is_not_called_missing(tmp_path: Path) -> None:
    double = Double({"sale": [ONE, TWO]}, first=[None, status(404)])
    with source_of(double, tmp_path) as source, pytest.raises(SourceError, match="page 2") as caught:
        read_all(source, "sale")
    assert not isinstance(caught.value, NotOffered)


def test_a_cut_page_is_told_without_anybodys_data(tmp_path: Path) -> None:
    body = b'[{"lastName": "Mustermann", "iban": "DE02120300000000202051", "number": 4711, "email": "m@example.org'
    double = Double({"customer": [body]})
    with source_of(double, tmp_path) as source, pytest.raises(MalformedPage) as caught:
        read_all(source, "customer")
    for private in ("Mustermann", "DE02", "4711", "example"):
        assert private not in str(caught.value)


def test_who_does_not_answer_is_told_with_tenant_host_and_port(tmp_path: Path) -> None:
    nobody = tenant(tmp_path, auth_url="http://127.0.0.1:1")
    told = "tenant north: POST 127.0.0.1:1/api/v4/token: no answer (ConnectError); is `mercurios sandbox` running?"
    with ProHandel(nobody, patience=Patience(attempts=1)) as source, pytest.raises(SourceUnavailable) as caught:
        read_all(source, "sale")
    assert str(caught.value) == told


def test_silence_is_waited_for_with_growing_pauses_and_then_given_up(tmp_path: Path) -> None:
    double, waits = Double({"sale": [ONE]}, first=[unreachable] * 5), Waits()
    source = source_of(double, tmp_path, waits, attempts=5, first_seconds=1.0)
    with source, pytest.raises(SourceUnavailable, match=r"no answer \(ConnectError\); check host and network"):
        read_all(source, "sale")
    for number, pause in enumerate(waits.slept):
        assert 2**number <= pause <= 2**number + 1
    assert len(waits.slept) == 4
    assert len(set(waits.slept)) == 4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "21"}, 21.0),
        ({"Date": "Sun, 22 Nov 2026 10:00:00 GMT", "Retry_After": "Sun, 22 Nov 2026 10:00:21 GMT"}, 21.0),
        ({"Date": "Sun, 22 Nov 2026 10:00:00 GMT", "Retry_After": "Sun, 22 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-1"}, None),
        ({}, None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(tmp_path: Path, headers: dict[str, str], seconds: float | None) -> None:
    double, waits = Double({"sale": [ONE]}, first=[status(429, **headers)]), Waits()
    with source_of(double, tmp_path, waits, first_seconds=2.0) as source:
        assert len(read_all(source, "sale")) == 2
    (slept,) = waits.slept
    assert slept == seconds if seconds is not None else 2.0 <= slept <= 4.0


# --- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    double, waits = Double({"sale": [ONE, ONE, TWO]}), Waits()
    with source_of(double, tmp_path, waits) as source:
        pages = source.read("sale")
        next(pages)
        waits.time += 1739
        next(pages)
        assert (double.logins, double.refreshes) == (1, 0)
        waits.time += 2
        next(pages)
    assert (double.logins, double.refreshes) == (1, 1)


@pytest.mark.parametrize(("may_refresh", "logins"), [(True, 1), (False, 2)])
def test_a_token_refused_in_the_middle_is_replaced_once(tmp_path: Path, may_refresh: bool, logins: int) -> None:
    double = Double({"sale": [ONE, TWO]})
    double.may_refresh = may_refresh
    with source_of(double, tmp_path) as source:
        pages = source.read("sale")
        next(pages)
        double.expire()
        assert next(pages).records == [{"id": "3"}]
    assert double.logins == logins


def test_tokens_may_end_again_and_again(tmp_path: Path) -> None:
    double = ListingDouble(10)
    with source_of(double, tmp_path) as source:
        got = []
        for page in source.read("sale"):
            got += page.records
            double.expire()
    assert got == double.records


def test_a_fresh_token_that_is_refused_is_the_end(tmp_path: Path) -> None:
    double = Double({"customer": [ONE]}, first=[status(401), status(401)])
    with source_of(double, tmp_path) as source, pytest.raises(AuthenticationFailed, match=r"customer page 1 .*401"):
        read_all(source, "customer")
    assert double.logins + double.refreshes == 2
    assert len(double.parameters) == 2


def test_a_refresh_that_does_not_work_is_followed_by_a_login(tmp_path: Path) -> None:
    """Nobody has seen the refresh of the real API."""
    double, waits = Double({"sale": [ONE, TWO]}), Waits()
    double.refresh_answer = status(500)
    with source_of(double, tmp_path, waits) as source:
        pages = source.read("sale")
        next(pages)
        waits.time += 1741
        next(pages)
    assert (double.logins, double.refreshes) == (2, 0)


@pytest.mark.parametrize(
    "tokens",
    [
        {"token": {}},
        {"token": "flat"},
        {"serverUrl": "north.test"},
        {"serverUrl": None},
        {"serverUrl": "https://"},
        {"serverUrl": "https://[north"},
        {"serverUrl": "https://somebody:password@north.test"},
        {"serverUrl": "https://north.test?to=here"},
        {"serverUrl": "http://north.test"},
    ],
)
def test_a_login_without_tokens_or_server_is_told(tmp_path: Path, tokens: dict[str, object]) -> None:
    double = Double({"sale": [ONE]})
    double.tokens = tokens
    with source_of(double, tmp_path) as source, pytest.raises(MalformedPage, match="serverUrl"):
        read_all(source, "sale")
    assert double.parameters == []


def test_a_login_somewhere_else_is_told(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404))
    words = "expected 200 with tokens, got 404; check auth_url"
    with ProHandel(tenant(tmp_path), transport=transport) as source, pytest.raises(SourceError, match=words):
        read_all(source, "sale")


def test_a_tenant_of_another_kind_is_refused(tmp_path: Path) -> None:
    files: Tenant = replace(tenant(tmp_path), source=FilesSource("s3://drops/north"))
    with pytest.raises(ConfigError, match="tenant north"):
        ProHandel(files)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_no_token_or_secret_travels_with_a_redirect(tmp_path: Path, code: int) -> None:
    hosts = []

    def redirect(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(code, headers={"Location": "https://elsewhere.test/"})

    double = Double({"sale": [ONE]}, first=[redirect])
    with source_of(double, tmp_path) as source, pytest.raises(SourceError, match=f"got {code}"):
        read_all(source, "sale")
    with (
        ProHandel(tenant(tmp_path), transport=httpx.MockTransport(redirect)) as source,
        pytest.raises(SourceError, match=f"got {code}"),
    ):
        read_all(source, "sale")
    assert hosts == ["north.test", "auth.test"]


# --- budget ----------------------------------------------------------------------------------------------------------


def test_calls_are_counted_with_logins_and_repeats(tmp_path: Path) -> None:
    double = Double({"sale": [ONE, TWO]}, first=[status(429), None, status(401)])
    with source_of(double, tmp_path) as source:
        assert source.calls == 0
        read_all(source, "sale")
        assert source.calls == len(double.asked) == 6


def test_a_spent_budget_is_told(tmp_path: Path) -> None:
    words = "north: all 3 calls of this run .*; what was read is kept, and the next run goes on"
    with source_of(ListingDouble(9), tmp_path, calls_per_run=3) as source:
        pages = source.read("sale")
        assert [next(pages).end, next(pages).end] == [2, 4]
        with pytest.raises(BudgetSpent, match=words) as caught:
            next(pages)
        assert source.calls == 3
    assert isinstance(caught.value, Transient)


@pytest.mark.parametrize("budget", range(2, 8))
def test_runs_of_a_small_budget_get_everything_one_after_the_other(tmp_path: Path, budget: int) -> None:
    double, start, got = ListingDouble(9), 0, []
    for _ in range(5 // (budget - 1) + 1):
        with source_of(double, tmp_path, calls_per_run=budget) as source, suppress(BudgetSpent):
            for page in source.read("sale", start=start):
                got += page.records
                start = page.end or len(double.records)
    assert [record for number, record in enumerate(got) if record not in got[:number]] == double.records
    assert len(got) <= len(double.records)


def test_calls_are_spread_over_the_minute(tmp_path: Path) -> None:
    waits, double = Waits(), ListingDouble(20)
    times: list[float] = []

    def fail_once(asked: int) -> Answer | None:
        times.append(waits.time - 1000.0)
        return status(500) if len(times) == 4 else None

    double.faults = fail_once
    with source_of(double, tmp_path, waits, calls_per_minute=30, first_seconds=0.1) as source:
        for number, _ in enumerate(source.read("sale")):
            waits.time += 7.0 if number == 5 else 0.5
    gaps = [later - earlier for earlier, later in pairwise([0.0, *times])]  # the login was a call, too
    assert gaps == pytest.approx([2.0] * 7 + [7.0] + [2.0] * 3)  # who is late has not saved anything up


def test_without_a_limit_nobody_waits(tmp_path: Path) -> None:
    waits = Waits()
    with source_of(ListingDouble(200), tmp_path, waits) as source:
        read_all(source, "sale")
    assert waits.slept == []


# --- over a real line ----------------------------------------------------------------------------------------------

Written = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def scripted_server(*answers: Written) -> Iterator[str]:
    """A server on loopback that logs in whoever comes and then writes what is scripted, the last one for ever."""
    script = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = {"value": "access-canary", "name": "access", "expiresIn": 1800}
            pair = {"token": token, "refreshToken": token | {"value": "refresh-canary"}}
            body = {"token": pair, "serverUrl": f"http://127.0.0.1:{self.server.server_port}", "requiredActions": []}
            written(json.dumps(body).encode())(self)

        def do_GET(self) -> None:
            (script.pop(0) if len(script) > 1 else script[0])(self)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url


def written(body: bytes, *, length: int | None = None, **headers: str) -> Written:
    """An answer of this body; a `length` beyond it is promised and not kept."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(length or len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = length is not None

    return write


def chunked(
    *parts: bytes,
    is_whole: bool = False,
    pause: Callable[[], None] = lambda: None,
    hung_up: threading.Event | None = None,
) -> Written:
    """An answer in chunks, with or without the last one; `hung_up` is set when the other side does."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for part in parts:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                pause()
            if is_whole:
                handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            if hung_up:
                hung_up.set()

    return write


def gone(handler: BaseHTTPRequestHandler) -> None:
    """Hang up without a word."""
    handler.close_connection = True


LAST = written(TWO, X_More_Pages_Available="False")


@pytest.mark.parametrize(
    "answer",
    [
        written(ONE[:10], length=len(ONE)),
        written(b"", length=5),
        chunked(b'[{"id": "1"},'),
        chunked(ONE),
        written(gzip.compress(ONE)[:-12], Content_Encoding="gzip"),
        written(b"no gzip", Content_Encoding="gzip"),
        gone,
    ],
)
def test_bodies_that_are_cut_on_their_way_are_asked_for_again(tmp_path: Path, answer: Written) -> None:
    waits = Waits()
    with (
        scripted_server(answer, LAST) as url,
        ProHandel(tenant(tmp_path, auth_url=url), patience=waits.patience()) as source,
    ):
        assert read_all(source, "sale") == [{"id": "3"}]
        assert source.calls == 3
    assert len(waits.slept) == 1


def test_an_endless_answer_is_refused_without_reading_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_BYTES", 2**20)
    hung_up = threading.Event()
    with (
        scripted_server(chunked(*[b" " * 2**16] * 2000, hung_up=hung_up)) as url,
        ProHandel(tenant(tmp_path, auth_url=url), patience=Waits().patience()) as source,
    ):
        with pytest.raises(MalformedPage, match="more than 1 MB in one answer"):
            read_all(source, "sale")
        assert hung_up.wait(30)


def test_a_body_that_drips_is_given_up_in_time(tmp_path: Path) -> None:
    waits = Waits()

    def a_while() -> None:
        waits.time += 25

    dripping = chunked(*[b"[", b'{"id": ', b'"9"', b"}", b"]"], is_whole=True, pause=a_while)
    with (
        scripted_server(dripping, LAST) as url,
        ProHandel(tenant(tmp_path, auth_url=url), patience=waits.patience()) as source,
    ):
        assert read_all(source, "sale") == [{"id": "3"}]


def test_secrets_and_tokens_are_in_no_text_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted_server(written(b"<html>")) as url:
        bound = tenant(tmp_path, auth_url=url)
        with ProHandel(bound, patience=Waits().patience()) as source:
            with pytest.raises(MalformedPage) as caught:
                read_all(source, "sale")
            tokens = source._keeper.current()
            texts = [repr(each) for each in (source, source._keeper, tokens, bound, source._connection, vars(source))]
    error: BaseException | None = caught.value
    while error is not None:
        texts += [str(error), repr(error), str(vars(error))]
        error = error.__cause__ or error.__context__
    assert "HTTP Request" in caplog.text
    for secret in (KEY, SECRET, "access-canary", "refresh-canary"):
        assert secret not in caplog.text + "".join(texts)


def test_two_tenants_have_calls_and_tokens_of_their_own(tmp_path: Path) -> None:
    north, south = ListingDouble(3), ListingDouble(5)
    with (
        closing(ProHandel(tenant(tmp_path, "north"), transport=north.transport)) as one,
        closing(ProHandel(tenant(tmp_path, "south"), transport=south.transport)) as other,
    ):
        pages = list(zip(one.read("sale"), other.read("sale"), strict=False))
        assert [(len(a.records), len(b.records)) for a, b in pages] == [(2, 2), (1, 2)]
        assert (one.tenant_id, one.calls, other.tenant_id, other.calls) == ("north", 3, "south", 3)
