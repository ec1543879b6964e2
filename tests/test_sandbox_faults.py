"""Faults come where they were ordered and nowhere else, and a seed orders the same ones on every run."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import pairwise

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercurios.errors import ConfigError
from mercurios.sandbox import (
    Closed,
    Cut,
    Drift,
    Expired,
    Fault,
    Faults,
    Merchant,
    Mix,
    NotJson,
    Repeated,
    Rules,
    RunningSandbox,
    Slow,
    Status,
    TooLarge,
    running,
    seeded_faults,
)
from mercurios.sandbox.mix import CHANGES, KINDS, TROUBLES
from mercurios.sandbox.places import is_ordered
from mercurios.sandbox.shapes import SHAPES
from tests.sandbox_client import Record, client, every_page, login, small
from tests.tiny import tiny_merchant

ATTEMPTS = 6
tiny = cache(tiny_merchant)


def numbers(answer: httpx.Response) -> list[int]:
    return [record["number"] for record in answer.json()]


# single answers


def test_ordered_faults_come_where_they_were_ordered_and_nowhere_else() -> None:
    orders = [Fault(Status(429, 7), request=2), Fault(Status(503, 7), "branch", page=1)]
    faults = Faults(orders=[*orders, Fault(NotJson(), "sale", page=2, times=None)])
    with running([small("north", faults=faults), small("south")]) as sandbox:
        with client(sandbox, "north") as api:
            statuses = [api.get("branch") for _ in range(3)]
            assert [answer.status_code for answer in statuses] == [503, 429, 200]
            assert {answer.headers["Retry-After"] for answer in statuses[:2]} == {"7"}
            for _ in range(2):
                broken = api.get("sale", params={"page": 2, "pagesize": 3})
                assert broken.status_code == 200
                with pytest.raises(json.JSONDecodeError):
                    broken.json()
            assert len(api.get("sale", params={"page": 1, "pagesize": 3}).json()) == 3
        with client(sandbox, "south") as api:
            assert len(every_page(api, "sale", size=3)) == len(every_page(api, "branch", size=3)) == 7


def test_an_ordered_status_can_outlast_retries() -> None:
    faults = Faults(orders=[Fault(Status(500), "sale", page=1, times=3)])
    with running([small("north", faults=faults)]) as sandbox, client(sandbox, "north") as api:
        assert [api.get("sale").status_code for _ in range(4)] == [500, 500, 500, 200]


def test_wrong_types_hit_the_same_records_whatever_the_page_size_and_whatever_comes_between() -> None:
    merchants = [small("north", faults=Faults(wrong_types={"sale": 2}, seed=5)), small("south")]
    hit: dict[tuple[str, int], list[object]] = {}
    with running(merchants) as sandbox:
        for name, size in (("north", 2), ("north", 100), ("south", 2), ("north", 3)):
            with client(sandbox, name) as api:
                records = every_page(api, "sale", size)
            hit[name, size] = [record["receiptNumber"] for record in records if record["articleNumber"] != 7.0]
            sandbox.insert(name, "sale", [{"receiptNumber": 8, "articleNumber": 7, "quantity": 1}])
    assert len(hit["north", 2]) == 2
    assert hit["north", 2] == hit["north", 100] == hit["north", 3]
    assert hit["south", 2] == []


def test_retry_after_comes_as_seconds_as_a_date_or_not_at_all() -> None:
    orders = [
        Fault(Status(429, 7), request=1),
        Fault(Status(429, 7, as_date=True), request=2),
        Fault(Status(429), request=3),
        Fault(Status(502), "sale", page=2, times=2),
    ]
    with running([small("north", faults=Faults(orders=orders))]) as sandbox, client(sandbox, "north") as api:
        seconds, dated, silent, answered = (api.get("branch") for _ in range(4))
        assert [a.status_code for a in (seconds, dated, silent, answered)] == [429, 429, 429, 200]
        assert seconds.headers["Retry-After"] == "7"
        until = parsedate_to_datetime(dated.headers["Retry-After"]) - parsedate_to_datetime(dated.headers["Date"])
        assert timedelta(seconds=6) <= until <= timedelta(seconds=8)
        assert "Retry-After" not in silent.headers
        assert set(silent.json()) == {"error", "message", "correlationId"}
        pages = [api.get("sale", params={"page": page, "pagesize": 3}).status_code for page in (1, 2, 2, 2)]
        assert pages == [200, 502, 502, 200]


def test_no_retry_after_when_none_is_wanted() -> None:
    faults = Faults(orders=[Fault(Status(503), request=1)])
    with running([small("north", faults=faults)]) as sandbox, client(sandbox, "north") as api:
        assert "Retry-After" not in api.get("sale").headers


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_bodies_are_cut_in_both_ways(share: float) -> None:
    orders = [Fault(Closed(share), "branch", page=1), Fault(Cut(share), "sale")]
    with running([small("north", faults=Faults(orders=orders))]) as sandbox, client(sandbox, "north") as api:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            api.get("branch")
        assert numbers(api.get("branch")) == list(range(1, 8))
        cut = api.get("sale")
        assert (cut.status_code, int(cut.headers["Content-Length"])) == (200, len(cut.content))
        with pytest.raises(json.JSONDecodeError):
            cut.json()
        assert len(api.get("sale").json()) == 7


def test_a_slow_page_is_slow_and_holds_nobody_else_up() -> None:
    orders = [Fault(Slow(0.5), "branch"), Fault(Slow(30), "sale", page=3)]
    with running([small("north", faults=Faults(orders=orders))]) as sandbox, client(sandbox, "north") as api:
        begin = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(api.get, "branch")
            while not sandbox.requests("north", "branch"):
                time.sleep(0.001)
            assert api.get("category").status_code == 200
            assert not slow.done()
            assert numbers(slow.result()) == list(range(1, 8))
        assert time.monotonic() - begin >= 0.5
        with pytest.raises(httpx.ReadTimeout):
            api.get("sale", params={"page": 3}, timeout=0.1)
        assert api.get("sale").status_code == 200


def test_pages_above_a_size_are_too_large_every_time() -> None:
    faults = Faults(orders=[Fault(TooLarge(3), "branch", times=None)])
    rules = Rules(max_page_size=5)
    with running([small("north", faults=faults)], rules=rules) as sandbox, client(sandbox, "north") as api:
        sizes = {size: api.get("branch", params={"pagesize": size}).status_code for size in (3, 4, 5, 1000, 2)}
        assert sizes == {3: 200, 4: 413, 5: 413, 1000: 413, 2: 200}
        assert api.get("sale", params={"pagesize": 5}).status_code == 200


def test_a_page_repeats_records_of_the_page_before_and_none_is_left_out() -> None:
    orders = [Fault(Repeated(2), "branch", page=2), Fault(Repeated(9), "branch", page=4), Fault(Repeated(2), page=1)]
    with running([small("north", faults=Faults(orders=orders))]) as sandbox, client(sandbox, "north") as api:

        def page(number: int, size: int = 3) -> list[int]:
            return numbers(api.get("branch", params={"page": number, "pagesize": size}))

        assert [page(number) for number in (1, 2, 2, 3)] == [[1, 2, 3], [2, 3, 4], [2, 3, 4], [5, 6, 7]]
        assert [page(number, size=2) for number in (2, 3, 4)] == [[3, 2], [3, 4], [1, 2]]
        assert page(2, size=10) == [3, 4, 5, 6, 7]
        assert [page(number) for number in (1, 2, 3, 4)] == [[1, 2, 3], [4, 5, 6], [7], []]
        assert len(api.get("sale", params={"page": 2, "pagesize": 3}).json()) == 3


def test_one_request_meets_one_refusal_and_the_others_wait() -> None:
    orders = [
        Fault(Status(503), "branch"),
        Fault(Status(500), request=1),
        Fault(NotJson(), "branch"),
        Fault(Slow(0.01), "branch"),
    ]
    with running([small("north", faults=Faults(orders=orders))]) as sandbox, client(sandbox, "north") as api:
        answers = [api.get("branch") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503, 200, 200]
        assert [answer.text[:1] for answer in answers[1:]] == ["<", "["]


# drift


def test_records_change_their_shape_from_a_page_or_a_request_on() -> None:
    drifts = [
        Drift("sale", new={"tier": "gold", "zipCode": 7}, from_page=2),
        Drift("sale", vanished=("discount", "nothing"), from_request=3),
        Drift("branch", retyped={"number": "text", "name1": "list", "isActive": "object", "name2": "number"}),
    ]
    with running([small("north", faults=Faults(drifts=drifts)), small("south")]) as sandbox:
        with client(sandbox, "north") as api:
            first, second, third = (
                api.get("sale", params={"page": page, "pagesize": 3}).json()[0] for page in (1, 2, 1)
            )
            branch = api.get("branch").json()[0]
        with client(sandbox, "south") as api:
            assert list(api.get("sale").json()[0]) == list(first)
        assert list(sandbox.current("north", "sale").columns) == list(first), "the listing itself is as it was"
    assert "tier" not in first
    assert (second["tier"], second["zipCode"], second["discount"]) == ("gold", 7, 0.0)
    assert first.keys() - third.keys() == {"discount"}
    assert (branch["number"], branch["name1"]) == ("it is 1", ["north 1"])
    assert (branch["isActive"], branch["name2"]) == ({"value": False}, 0.0)


def test_faults_that_cannot_be_meant_are_refused() -> None:
    for wrong in (lambda: Fault(NotJson(), "sales"), lambda: Drift("sales")):
        with pytest.raises(ConfigError, match=r"a fault of sales: the API has .*sale"):
            wrong()
    with pytest.raises(ConfigError, match="drift to date: expected text, number, list or object"):
        Drift("sale", retyped={"date": "date"})


# tokens


def test_a_token_ends_while_somebody_reads() -> None:
    faults = Faults(token_requests=2, orders=[Fault(Expired(), request=3)])
    with running([small("north", faults=faults), small("south")]) as sandbox:
        first, second = client(sandbox, "north"), client(sandbox, "north")
        with first, second:
            assert [first.get("branch").status_code for _ in range(4)] == [200, 200, 401, 401]
            refused = second.get("branch")
            assert (refused.status_code, second.get("branch").status_code) == (401, 401)
            assert "invalid_token" in refused.headers["WWW-Authenticate"]
        with client(sandbox, "south") as api:
            assert [api.get("branch").status_code for _ in range(4)] == [200] * 4
        assert sandbox.requests("north") == 3, "requests without a valid token are not counted"


def test_logins_and_refreshes_are_refused_as_ordered() -> None:
    faults = Faults(login_statuses=(Status(503, 2), Status(429), None, Status(500, 2)), refresh_statuses=(Status(401),))
    with running([small("north", faults=faults), small("south")]) as sandbox:
        answers = [login(sandbox, "north") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [503, 429, 200, 500, 200]
        assert [answer.headers.get("Retry-After") for answer in answers] == ["2", None, None, "2", None]
        bearer = {"Authorization": f"Bearer {answers[2].json()['token']['refreshToken']['value']}"}
        refreshed = [httpx.post(f"{sandbox.auth_url}/api/v4/token/refresh", headers=bearer) for _ in range(2)]
        assert [answer.status_code for answer in refreshed] == [401, 200]
        assert login(sandbox, "south").status_code == 200
        assert "north-secret" not in answers[0].text


# a counter that wraps


def test_a_counter_that_wraps_gives_the_same_number_on_another_day() -> None:
    entities = {"sale": tiny(1)["sale"].drop("id")}
    receipt = ["branchNumber", "cashRegisterNumber", "receiptNumber"]
    with running([Merchant("north", "k", "s", entities, faults=Faults(receipts_per_register=100))]) as sandbox:
        sale = sandbox.current("north", "sale")
    assert sale["receiptNumber"].unique().sort().to_list() == list(range(1_000_001, 1_000_101))
    before = entities["sale"]
    assert sale.select(*receipt, "date").n_unique() == before.select(*receipt, "date").n_unique()
    assert sale.group_by(receipt).agg(pl.col("date").n_unique())["date"].min() > 1  # type: ignore[operator]
    assert sale["id"].n_unique() == sale.height == before.height
    assert round(sale["salePrice"].sum(), 2) == round(before["salePrice"].sum(), 2)
    assert is_ordered(SHAPES["sale"], sale)


def test_a_counter_that_cannot_wrap_says_why() -> None:
    faults = Faults(receipts_per_register=2)
    for entities, words in (
        (tiny(1), "a counter that wraps after 2 receipts gives a number twice on one day"),
        (small("north").entities, "with branchNumber, cashRegisterNumber, date"),
    ):
        with pytest.raises(ConfigError, match=words), running([Merchant("north", "k", "s", entities, faults=faults)]):
            pass


# mixes


class Reader:
    """Reads with patience: six attempts a page, a new login where a refresh is refused."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self.api = httpx.Client(base_url=f"{sandbox.server_url('north')}/api/v2/")
        self.met: list[object] = []
        self.refresh = "none yet"

    def read(self, entity: str, size: int) -> Iterator[Record]:
        page, more = 1, "True"
        while more == "True":
            answer, records = self._page(entity, {"page": page, "pagesize": size})
            yield from records
            more, page = answer.headers["X-More-Pages-Available"], page + 1

    def _page(self, entity: str, parameters: dict[str, int]) -> tuple[httpx.Response, list[Record]]:
        for _ in range(ATTEMPTS):
            try:
                answer = self.api.get(entity, params=parameters)
                self.met.append(answer.status_code)
                if answer.status_code == 401:
                    self._renew()
                if answer.status_code == 200:
                    return answer, answer.json()
            except (httpx.TransportError, json.JSONDecodeError) as error:
                self.met.append(type(error).__name__)
        raise AssertionError(f"{entity} {parameters} was never answered")

    def _renew(self) -> None:
        bearer = {"Authorization": f"Bearer {self.refresh}"}
        answer = httpx.post(f"{self.sandbox.auth_url}/api/v4/token/refresh", headers=bearer)
        attempts = (login(self.sandbox, "north") for _ in range(ATTEMPTS))
        answer = answer if answer.status_code == 200 else next(a for a in attempts if a.status_code == 200)
        tokens = answer.json()["token"]
        self.refresh = tokens["refreshToken"]["value"]
        self.api.headers["Authorization"] = f"Bearer {tokens['token']['value']}"


def bad_day(faults: Faults, size: int = 25) -> tuple[list[Record], list[object], dict[str, pl.DataFrame]]:
    """What a reader got, what it met on the way, and what is listed in the end."""
    entities = {name: frame.head(700) for name, frame in tiny(1).items()}
    with running([Merchant("north", "north-key", "north-secret", entities, faults=faults)]) as sandbox:
        reader = Reader(sandbox)
        with reader.api:
            records = [record for entity in ("customer", "article", "sale") for record in reader.read(entity, size)]
        sandbox.settle("north")
        return records, reader.met, {entity: sandbox.current("north", entity) for entity in entities}


def test_a_seed_orders_the_same_day_again() -> None:
    faults = seeded_faults(3, Mix(requests=60, slow_seconds=0.01))
    assert seeded_faults(3, Mix(requests=60, slow_seconds=0.01)) == faults != seeded_faults(4, Mix(requests=60))
    first, second = bad_day(faults), bad_day(faults)
    assert first[0] == second[0]
    assert first[1] == second[1]
    assert all(first[2][entity].equals(frame) for entity, frame in second[2].items())


@pytest.mark.parametrize("seed", range(4))
def test_a_patient_reader_gets_through_a_bad_day_with_everything(seed: int) -> None:
    mix = Mix(requests=60, slow_seconds=0.01, kinds=(*TROUBLES, "login", "drift"))
    records, met, current = bad_day(seeded_faults(seed, mix))
    listed = {row_id for entity in ("customer", "article", "sale") for row_id in current[entity]["id"]}
    assert {record["id"] for record in records} == listed
    assert len(set(map(str, met))) >= 4, "nothing much went wrong"


def test_a_mix_has_every_kind_it_may_have_and_no_other() -> None:
    def kinds(faults: Faults) -> set[str]:
        found = {type(order.effect).__name__.lower() for order in faults.orders}
        found |= {"late" if change.late else change.kind for change in faults.changes}
        rest = {"drift": faults.drifts, "login": faults.login_statuses}
        return found | {kind for kind, ordered in rest.items() if ordered}

    whole = Mix(requests=400, changes=60)
    assert kinds(seeded_faults(1, whole)) == set(KINDS)
    assert kinds(seeded_faults(1, replace(whole, kinds=("cut", "late")))) == {"cut", "late"}
    assert seeded_faults(1, replace(whole, kinds=())) == Faults(seed=1)
    assert all(change.bumps for change in seeded_faults(1, whole).changes)
    assert not all(change.bumps for change in seeded_faults(1, replace(whole, kinds=("silent",))).changes)
    assert {change.entity for change in seeded_faults(1, replace(whole, entities=("order",))).changes} == {"order"}


@given(st.integers(), st.integers(0, 200), st.sets(st.sampled_from(KINDS)))
def test_no_mix_refuses_more_than_a_reader_can_bear(seed: int, requests: int, kinds: set[str]) -> None:
    faults = seeded_faults(seed, Mix(requests=requests, kinds=tuple(sorted(kinds)), changes=5))
    bad = sorted({order.request or 0 for order in faults.orders})
    assert len(bad) == len(faults.orders)
    assert all(0 < request <= requests for request in bad)
    for first in range(1, requests + 1):
        met = [request for request in bad if first <= request < first + ATTEMPTS]
        assert len(met) <= 3, "three of six attempts at least are answered"
    expired = [order.request or 0 for order in faults.orders if isinstance(order.effect, Expired)]
    assert all(set(range(earlier, later)) - set(bad) for earlier, later in pairwise(expired))
    assert [change.at_request for change in faults.changes] == sorted(change.at_request for change in faults.changes)
    assert bool(faults.changes) == bool(kinds & set(CHANGES))
