"""Metrics beside themselves in an earlier period: by days, weeks and months, row by row, and what cannot be."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercurios.api.comparisons import Shift, shift_of
from mercurios.errors import BadRequest
from mercurios.metrics import MetricQuery
from tests.api_world import ApiWorld, listening, make_world

DAY = timedelta(days=1)
DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path_factory.mktemp("comparisons"))) as running:
        yield running


def compared(api: ApiWorld, arguments: str, period: str, tenant: str = "north") -> dict[str, Any]:
    document = f"""{{ metrics(names: ["revenue", "units"], {arguments}) {{ rows
        comparison(period: {period}) {{ from to before change }} }} }}"""
    return dict(api.ask(document, tenant=tenant)["metrics"])


def test_a_day_beside_the_day_before(api: ApiWorld) -> None:
    told = compared(api, 'from: "2017-12-02", to: "2017-12-02"', "PERIOD_BEFORE")
    assert told["rows"] == [[88.15, 88.0]]
    earlier = told["comparison"]
    assert (earlier["from"], earlier["to"]) == ("2017-12-01", "2017-12-01")
    assert earlier["before"] == [[88_200.15, 88_200.0]]
    assert earlier["change"] == [[pytest.approx(88.15 / 88_200.15 - 1), pytest.approx(88 / 88_200 - 1)]]


def test_rows_stand_beside_their_own(api: ApiWorld) -> None:
    period = 'from: "2017-12-01", to: "2017-12-02", groupBy: ["branch"]'
    days = compared(api, f"{period}, grain: DAY", "PERIOD_BEFORE")
    assert [row[0] for row in days["rows"]] == ["2017-12-01", "2017-12-02"]
    assert days["comparison"]["before"] == [[None, None], [88_000_100.15, 88_000_100.0]]
    assert days["comparison"]["change"][0] == [None, None]
    for _ in range(2):  # the second time from the cache
        months = compared(api, 'from: "2017-12-01", to: "2017-12-31", grain: MONTH', "PERIOD_BEFORE", "south")
        assert (months["comparison"]["from"], months["comparison"]["to"]) == ("2017-11-01", "2017-11-30")
        assert months["comparison"]["before"] == [[77_000_100.15, 77_000_100.0]]


def test_where_nothing_was_nothing_is_made_up(api: ApiWorld) -> None:
    told = compared(api, 'from: "2017-12-01", to: "2017-12-31", grain: MONTH', "YEAR_BEFORE")["comparison"]
    assert told == {"from": "2016-12-01", "to": "2016-12-31", "before": [[None, None]], "change": [[None, None]]}


def test_an_open_period_is_told_what_it_lacks(api: ApiWorld) -> None:
    document = '{ metrics(names: ["revenue"]) { comparison(period: YEAR_BEFORE) { from } } }'
    code, message = api.fail(document)
    assert code == "BAD_REQUEST"
    assert message == "a comparison needs the period it compares; pass `from` and `to`"


@pytest.mark.parametrize(
    ("start", "end", "grain", "kind"),
    [
        ("2017-12-01", "2017-12-10", "WEEK", "PERIOD_BEFORE"),
        ("2017-12-04", "2017-12-10", "WEEK", "YEAR_BEFORE"),
        ("2017-12-01", "2017-12-31", "MONTH", "WEEKS_52_BEFORE"),
        ("2017-12-01", "2017-12-31", "QUARTER", "PERIOD_BEFORE"),
        ("2017-12-01", "2017-12-30", "MONTH", "PERIOD_BEFORE"),
    ],
)
def test_steps_are_never_cut(start: str, end: str, grain: Any, kind: str) -> None:
    with pytest.raises(BadRequest, match=f"{kind} would cut steps of {grain}; by WEEK compare with WEEKS_52_BEFORE"):
        shift_of(kind, query(date.fromisoformat(start), date.fromisoformat(end), grain))


@pytest.mark.parametrize("end", [None, date.max])
def test_an_open_period_has_none_before(end: date | None) -> None:
    with pytest.raises(BadRequest, match="pass `from` and `to`"):
        shift_of("PERIOD_BEFORE", query(date(2017, 1, 1), end))


def test_before_the_first_year_there_is_nothing() -> None:
    for shift in (Shift(months=12), Shift(days=400)):
        with pytest.raises(BadRequest, match="nothing lies that far before 0001-06-01"):
            shift.back(date(1, 6, 1))


def query(start: date | None, end: date | None, grain: Any = None) -> MetricQuery:
    return MetricQuery(("revenue",), grain=grain, start=start, end=end)


@given(start=DAYS, days=st.integers(0, 800))
def test_the_period_before_ends_where_the_period_begins(start: date, days: int) -> None:
    shift = shift_of("PERIOD_BEFORE", query(start, start + days * DAY))
    assert shift.back(start + (days + 1) * DAY) == start
    assert shift.months or start - shift.back(start) == (days + 1) * DAY


@given(month=st.dates(date(1990, 1, 1), date(2090, 12, 31)), months=st.integers(1, 24))
def test_whole_months_stand_beside_whole_months(month: date, months: int) -> None:
    start = month.replace(day=1)
    after = date(start.year + (start.month - 1 + months) // 12, (start.month - 1 + months) % 12 + 1, 1)
    assert shift_of("PERIOD_BEFORE", query(start, after - DAY, "MONTH")) == Shift(months=months)
    assert shift_of("PERIOD_BEFORE", query(start, after - DAY, "DAY")).months == 0


@given(day=DAYS)
def test_a_weekday_stands_beside_itself_and_a_date_beside_itself(day: date) -> None:
    assert shift_of("WEEKS_52_BEFORE", query(day, day, "DAY")).back(day).weekday() == day.weekday()
    then = shift_of("YEAR_BEFORE", query(day, day, "DAY")).back(day)
    assert (then.year, then.month) == (day.year - 1, day.month)
    assert then.day == day.day or (day.month, day.day, then.day) == (2, 29, 28)
