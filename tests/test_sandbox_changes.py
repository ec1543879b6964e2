"""Records change while the sandbox serves them; listings can be selected where the rules say so."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import BadRequest, ConfigError
from mercurios.sandbox import (
    Change,
    Faults,
    Merchant,
    Mix,
    Rules,
    RunningSandbox,
    running,
    seeded_changes,
    write_tenant_files,
)
from mercurios.sandbox import listing as listing_module
from mercurios.sandbox.changes import make
from mercurios.sandbox.listing import Listing
from mercurios.sandbox.places import is_ordered
from mercurios.sandbox.selection import EVERYTHING, Selection
from mercurios.sandbox.served import Served
from mercurios.sandbox.shapes import SHAPES
from mercurios.tenancy import Filters, TenantDirectory
from tests.sandbox_client import client, every_page, small
from tests.tiny import tiny_merchant

FILTERS = Filters(changed_from="changedFrom", day_from="fromDate", day_until="untilDate")
SOLD = datetime(2025, 3, 1)


tiny = cache(tiny_merchant)


def branches(*numbers: int, **columns: Any) -> Listing:
    frame = pl.DataFrame({"number": list(numbers)}, schema={"number": pl.Int32})
    return Listing(SHAPES["branch"], frame.with_columns(**columns), salt="north")


def lines(*receipts: tuple[int, int], **columns: Any) -> Listing:
    """Sale lines of (branch, receipt)."""
    frame = pl.DataFrame(list(receipts), schema=["branchNumber", "receiptNumber"], orient="row")
    return Listing(SHAPES["sale"], frame.with_columns(**columns), salt="north")


def listed(listing: Listing, *names: str) -> list[Any]:
    rows = listing.view.table().select(names or "number").rows()
    return [row[0] for row in rows] if len(names) < 2 else rows


def records(listing: Listing) -> list[dict[str, Any]]:
    return json.loads(listing.view.json(0, listing.view.rows + 1))  # type: ignore[no-any-return]


# rows come, change and go


def test_masters_are_inserted_by_key_and_sales_by_branch_with_the_newest_receipt_first() -> None:
    masters = branches(10, 20, 30)
    masters.insert([{"number": 35}, {"number": 5}, {"number": 20}, {"number": 25}, {"number": 26}])
    assert listed(masters) == [5, 10, 20, 20, 25, 26, 30, 35]
    sales = lines((1, 1_000_009), (1, 1_000_005), (2, 1_000_007))
    sales.insert([{"branchNumber": b, "receiptNumber": 1_000_000 + r} for b, r in ((2, 8), (1, 10), (1, 7), (3, 1))])
    assert [(b, r - 1_000_000) for b, r in listed(sales, "branchNumber", "receiptNumber")] == [
        *((1, 10), (1, 9), (1, 7), (1, 5)),
        *((2, 8), (2, 7)),
        (3, 1),
    ]


def test_rows_without_an_order_stay_where_they_are_and_new_ones_come_before_the_first_that_follows_them() -> None:
    jumbled = branches(30, 10, 20)
    jumbled.insert([{"number": 15}, {"number": 40}])
    assert listed(jumbled) == [15, 30, 10, 20, 40]
    renumbered = branches(10, 20, 30)
    renumbered.insert([{"number": 15}])
    renumbered.update(listed(renumbered, "id")[1:2], {"number": 99})
    renumbered.insert([{"number": 25}])
    assert listed(renumbered) == [10, 25, 99, 20, 30]


@settings(deadline=None)
@given(st.data())
def test_a_listing_is_what_a_list_would_be(data: st.DataObject) -> None:
    """Any changes, against a plain list that is sorted after every one of them."""
    numbers = st.integers(0, 12)
    start = sorted(data.draw(st.lists(numbers, max_size=12)), reverse=True)
    listing = lines(*((1, number) for number in start), zipCode=pl.lit(""))
    model = [(row["receiptNumber"], row["id"], row["zipCode"], row["isDeleted"]) for row in records(listing)]
    for step in range(data.draw(st.integers(1, 6))):
        ids = data.draw(st.sets(st.sampled_from([row[1] for row in model]))) if model else set()
        kind = data.draw(st.sampled_from(["insert", "update", "delete", "mark_deleted"]))
        if kind == "insert":
            added = data.draw(st.lists(numbers, max_size=5))
            made = listing.insert(
                [{"branchNumber": 1, "receiptNumber": number, "zipCode": str(step)} for number in added]
            )
            model += [(number, row_id, str(step), False) for number, row_id in zip(added, made, strict=True)]
            model.sort(key=lambda row: -row[0])
        elif kind == "delete":
            listing.delete(ids)
            model = [row for row in model if row[1] not in ids]
        elif kind == "update":
            listing.update(ids, {"zipCode": str(step)})
            model = [(n, i, str(step) if i in ids else z, d) for n, i, z, d in model]
        else:
            listing.mark_deleted(ids)
            model = [(n, i, z, d or i in ids) for n, i, z, d in model]
        assert listed(listing, "receiptNumber", "id", "zipCode", "isDeleted") == model
        assert is_ordered(listing.shape, listing.view.frame)


def test_last_change_moves_or_not_as_it_is_wanted() -> None:
    listing = branches(1, 2, lastChange=pl.Series([datetime(2025, 3, 1, 12, 0, 0, 120_000), datetime(2025, 3, 1)]))
    first, second = listed(listing, "id")
    listing.update([second], {"name1": "silent"}, bumps=False)
    assert listed(listing, "lastChange") == ["2025-03-01T12:00:00.12", "2025-03-01T00:00:00"]
    listing.update([second], {"name1": "loud"})
    assert listed(listing, "lastChange")[1] == "2025-03-01T12:00:01"
    listing.mark_deleted([first])
    assert listed(listing, "lastChange")[0] == "2025-03-01T12:00:02"
    listing.update([first], {"lastChange": "2025-02-01T08:00:00.5"})
    listing.insert([{"number": 3}], last_change=datetime(2025, 1, 1))
    listing.insert([{"number": 4, "lastChange": datetime(2025, 5, 1)}])
    listing.insert([{"number": 5}])
    assert listed(listing, "lastChange") == [
        "2025-02-01T08:00:00.5",
        "2025-03-01T12:00:01",
        "2025-01-01T00:00:00",
        "2025-05-01T00:00:00",
        "2025-05-01T00:00:01",
    ]
    assert listed(listing, "name1") == ["", "loud", "", "", ""]
    assert listed(listing, "isDeleted") == [True, False, False, False, False]


def test_values_take_the_types_of_their_columns_and_new_fields_are_neutral_elsewhere() -> None:
    listing = lines(
        (1, 7),
        date=pl.lit("2025-03-01T00:00:00"),
        quantity=pl.lit(1, dtype=pl.Int32),
        lastChange=pl.lit(SOLD, dtype=pl.Datetime("ns")),
    )
    new = {"branchNumber": 1.0, "receiptNumber": 9, "date": date(2025, 3, 2), "quantity": 2.0, "discount": 0.5}
    listing.insert([{**new, "purchasePrice": 1.5, "tier": "gold", "lastChange": "2025-03-02T10:00:00.1234567"}])
    newest, oldest = records(listing)
    assert (newest["date"], newest["quantity"], newest["lastChange"]) == (
        "2025-03-02T00:00:00",
        2.0,
        "2025-03-02T10:00:00.1234567",
    )
    assert (oldest["discount"], oldest["tier"]) == (0.0, None)
    assert (newest["discount"], newest["tier"], newest["zipCode"]) == (0.5, "gold", "")
    assert "salePrice" not in newest, "a fact is not made up"
    assert (newest["purchasePrice"], oldest["purchasePrice"]) == (1.5, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.delete(["nobody"]), "1 of 1 ids are not listed"),
        (lambda one: one.update(["nobody"], {"name1": "x"}), "not listed"),
        (lambda one: one.update(listed(one, "id"), {"number": "x"}), "number: expected values of type Int32"),
        (lambda one: one.update(listed(one, "id"), {"id": "a"}), "an id never changes"),
        (lambda one: one.insert([{"number": 3, "lastChange": "yesterday"}]), "lastChange: expected times"),
        (lambda one: one.insert([{"number": 3, "id": listed(one, "id")[0]}]), "listed already"),
        (lambda one: one.insert([{"number": 3, "id": "a"}, {"number": 4, "id": "a"}]), "comes twice"),
        (lambda one: one.insert([{"number": 3}, {"number": "x"}]), "got String"),
        (lambda one: one.insert([{"number": [3]}, {"number": "x"}]), "one type each"),
        (lambda one: one.insert(["no record"]), "one type each"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(change: Any, words: str) -> None:
    listing = branches(1, 2, lastChange=pl.lit(SOLD))
    before = listing.view
    with pytest.raises(BadRequest, match=words):
        change(listing)
    assert listing.view is before


def test_an_entity_that_is_not_tracked_has_neither_last_change_nor_a_mark() -> None:
    listing = Listing(SHAPES["order"], pl.DataFrame({"number": [1], "positions": [[{"articleNumber": 7}]]}), salt="n")
    listing.insert([{"number": 2, "positions": [{"articleNumber": 8}]}])
    listing.update(listed(listing, "id")[:1], {"overallDiscount": 5})
    first, second = records(listing)
    assert (first["overallDiscount"], second["positions"]) == (5, [{"articleNumber": 8}])
    assert not {"lastChange", "isDeleted"} & first.keys()
    with pytest.raises(BadRequest, match="order lists no isDeleted"):
        listing.mark_deleted(listed(listing, "id"))


def test_an_entity_that_was_empty_is_filled() -> None:
    with running([small("north")]) as sandbox, client(sandbox, "north") as api:
        assert api.get("voucher").json() == []
        (voucher_id,) = sandbox.insert("north", "voucher", [{"number": 1, "branchNumber": 1, "value": 25.5}])
        (voucher,) = api.get("voucher").json()
        assert (voucher["id"], voucher["value"], voucher["amountRedeemed"]) == (voucher_id, 25.5, 0.0)
        sandbox.delete("north", "voucher", [voucher_id])
        assert api.get("voucher").json() == []
        with pytest.raises(BadRequest, match="no entity vouchers"):
            sandbox.current("north", "vouchers")
        with pytest.raises(BadRequest, match="no merchant south"):
            sandbox.current("south", "voucher")


def test_nothing_to_change_changes_nothing() -> None:
    listing = branches(1, 2)
    before = listing.view.table()
    assert listing.insert([]) == []
    assert listing.insert(pl.DataFrame()) == []
    listing.update(listed(listing, "id"), {}, bumps=False)
    listing.update([], {"name1": "x"}, bumps=False)
    listing.delete([])
    make(Change("branch", "delete", count=0), listing)
    assert listing.view.table().select(before.columns).equals(before)
    nothing = branches()
    for kind in ("insert", "update", "delete", "mark_deleted"):
        make(Change("branch", kind, count=3), nothing)
    assert nothing.view.rows == 0


def test_many_changes_leave_pages_fast() -> None:
    listing = branches(*range(0, 4000, 2))
    for number in range(1, 4000, 40):
        listing.insert([{"number": number}])
        listing.delete(listed(listing, "id")[:1])
    assert listing.view.frame.n_chunks() <= 33
    assert listing.view.rows == 2000
    assert listing.version == 1 + 2 * 100


# under a reader


def test_what_is_inserted_while_somebody_reads_shifts_the_pages_and_current_tells_the_truth() -> None:
    with running([small("north"), small("south")]) as sandbox, client(sandbox, "north") as api:
        first = api.get("branch", params={"pagesize": 3}).json()
        sandbox.insert("north", "branch", [{"number": 0, "name1": "before all"}])
        second = api.get("branch", params={"pagesize": 3, "page": 2}).json()
        assert [record["number"] for record in first + second] == [1, 2, 3, 3, 4, 5]
        sandbox.delete("north", "branch", [first[0]["id"], first[1]["id"]])
        third = api.get("branch", params={"pagesize": 3, "page": 3})
        assert (third.json(), third.headers["X-More-Pages-Available"]) == ([], "False")
        truth = sandbox.current("north", "branch")
        assert truth["number"].to_list() == [0, 3, 4, 5, 6, 7]
        assert truth.to_dicts() == every_page(api, "branch", 4)
        assert {"id", "lastChange", "isDeleted"} <= set(truth.columns)
        assert sandbox.current("south", "branch")["number"].to_list() == list(range(1, 8))


def test_scripted_changes_come_between_two_requests() -> None:
    changes = [
        Change("branch", "insert", at_request=3, of="branch", rows=[{"number": 0}]),
        Change("branch", "delete", at_request=5),
        Change("sale", "update", at_request=6, count=7, values={"zipCode": "12345"}),
    ]
    with running([small("north", faults=Faults(changes=changes))]) as sandbox, client(sandbox, "north") as api:
        counted = []
        for entity in ("branch", "sale", "branch", "branch", "sale", "sale"):
            api.get(entity)
            counted.append((sandbox.current("north", "branch").height, sandbox.current("north", "sale")["zipCode"][0]))
        assert counted == [(7, ""), (7, ""), (7, ""), (8, ""), (7, ""), (7, "12345")]
        assert (sandbox.requests("north"), sandbox.requests("north", "branch")) == (6, 3)
        assert sandbox.settle("north") == 0


def test_a_late_commit_is_older_than_what_was_listed() -> None:
    with running([Merchant("north", "north-key", "north-secret", tiny(1))]) as sandbox:
        before = sandbox.current("north", "sale")
        sandbox.make("north", Change("sale", "insert", count=3, late=timedelta(days=2)))
        late = sandbox.current("north", "sale").join(before, on="id", how="anti")
    assert late.height == 3
    assert set(late["date"]) == {"2025-12-29T00:00:00"}
    assert set(late["lastChange"]) == {"2025-12-29T05:06:07.12345"}
    assert before["lastChange"].max() > late["lastChange"].max()  # type: ignore[operator]
    receipt = ["branchNumber", "cashRegisterNumber", "receiptNumber", "date"]
    assert late.join(before, on=receipt).is_empty()


@pytest.mark.parametrize("entity", sorted(set(SHAPES) - {"shop", "customercard"}))
def test_records_can_be_made_up_changed_and_taken_away_in_every_entity(entity: str) -> None:
    listing = Listing(SHAPES[entity], tiny(1)[entity].head(30), salt="north")
    before = listing.view.table()
    make(Change(entity, "insert", count=3), listing)
    key = list(SHAPES[entity].key)
    assert listing.view.rows == before.height + 3
    assert listing.view.table().join(before, on="id", how="anti").join(before, on=key).is_empty()
    assert listing.view.table().select(key).n_unique() == before.select(key).n_unique() + 3
    make(Change(entity, "update", ids=before["id"][:1].to_list()), listing)
    changed = listing.view.table().join(before, on="id", how="semi")
    differing = [name for name in before.columns if not changed[name].equals(before[name])]
    assert len(set(differing) - {"lastChange"}) == 1
    assert ("lastChange" in differing) == ("lastChange" in SHAPES[entity].fields)
    make(Change(entity, "delete", count=1000), listing)
    assert listing.view.rows == 0


def test_seeded_changes_end_the_same_whoever_reads_and_however_far() -> None:
    def ended(seed: int, requests: int) -> dict[str, pl.DataFrame]:
        mix = Mix(requests=30, changes=25, kinds=("insert", "late", "update", "silent", "delete", "mark_deleted"))
        faults = Faults(changes=seeded_changes(seed, mix))
        served = Served(Merchant("north", "k", "s", tiny(1, lines_a_day=1), faults=faults))
        for number in range(requests):
            served.meet(("sale", "article")[number % 2], 1, 100)
        assert (served.settle() > 0) == (requests < 30)
        return {entity: served.listing(entity).view.table() for entity in mix.entities}

    one, other, unread = ended(5, 30), ended(5, 11), ended(5, 0)
    assert all(one[entity].equals(other[entity]) and one[entity].equals(unread[entity]) for entity in one)
    assert not all(one[entity].equals(frame) for entity, frame in ended(6, 30).items())


def test_threads_change_while_others_read() -> None:
    """No page is torn: its records are whole, ordered and different, as they were at one moment."""
    start = list(range(0, 4000, 10))
    frame = pl.DataFrame({"number": start, "name1": ["old"] * len(start), "name2": ["old"] * len(start)})
    stop = threading.Event()

    def change(sandbox: RunningSandbox, worker: int) -> int:
        rounds = 0
        while not stop.is_set():
            ids = sandbox.insert("north", "branch", [{"number": n * 10 + worker} for n in range(rounds, 400, 40)])
            sandbox.update("north", "branch", ids, {"name1": f"{worker}/{rounds}", "name2": f"{worker}/{rounds}"})
            sandbox.delete("north", "branch", ids)
            rounds += 1
        return rounds

    def read(sandbox: RunningSandbox) -> None:
        with client(sandbox, "north") as api:
            for page in range(1, 40):
                found = api.get("branch", params={"page": page % 8 + 1, "pagesize": 50}).raise_for_status().json()
                numbers = [record["number"] for record in found]
                assert numbers == sorted(numbers)
                assert len({record["id"] for record in found}) == len(found)
                assert all(record["name1"] == record["name2"] for record in found)

    with running([Merchant("north", "north-key", "north-secret", {"branch": frame})]) as sandbox:
        before = sandbox.current("north", "branch")
        with ThreadPoolExecutor(5) as pool:
            changing = [pool.submit(change, sandbox, worker) for worker in (1, 2)]
            reading = [pool.submit(read, sandbox) for _ in range(3)]
            try:
                for done in reading:
                    done.result()
            finally:
                stop.set()
            assert all(done.result() for done in changing)
        assert sandbox.current("north", "branch").equals(before)


def test_changes_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ConfigError, match="a change of sales"):
        Change("sales", "insert")
    with pytest.raises(ConfigError, match="a change is one of insert, update, delete, mark_deleted, not 'drop'"):
        Change("sale", "drop")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown kinds of trouble fire"):
        Mix(kinds=("fire",))


# selections


def sold(days: int) -> dict[str, pl.DataFrame]:
    """Sale lines of so many days, in types as the Complete Journey's, and branches that never changed."""
    frame = pl.DataFrame({"date": [SOLD.date() + timedelta(days=number) for number in range(days)]})
    changed = (pl.col("date").cast(pl.Datetime("ns")) + pl.duration(hours=30)).cast(pl.Datetime("ns"))
    frame = frame.with_columns(lastChange=changed, receiptNumber=1_000_000 - pl.int_range(pl.len()), branchNumber=1)
    return {"sale": frame, "branch": pl.DataFrame({"number": [1, 2]}), "order": pl.DataFrame({"number": [1, 2]})}


def texts(frame: pl.DataFrame) -> pl.DataFrame:
    """The same with times as the API's texts, as the tiny merchant has them."""
    return Listing(SHAPES["sale"], frame, salt="north").view.table()


@pytest.mark.parametrize("has_texts", [False, True])
def test_parameters_select_where_the_rules_name_them(has_texts: bool) -> None:
    entities = sold(10)
    entities["sale"] = texts(entities["sale"]) if has_texts else entities["sale"]
    merchant = Merchant("north", "north-key", "north-secret", entities)
    with running([merchant], rules=Rules(filters=FILTERS)) as sandbox, client(sandbox, "north") as api:

        def days(**parameters: str) -> list[int]:
            return [int(record["date"][8:10]) for record in every_page(api, "sale", 2, **parameters)]

        assert days() == list(range(1, 11))
        assert days(fromDate="2025-03-09") == [9, 10]
        assert days(fromDate="2025-03-08T00:00:01", untilDate="2025-03-10T00:00:00") == [9]
        assert days(untilDate="2025-03-02T12:00:00") == [1, 2]
        assert days(changedFrom="2025-03-09T06:00:00") == [8, 9, 10]
        assert days(changedFrom="2025-03-09T06:00:00.000001", untilDate="2025-03-10") == [9]
        assert days(fromDate="2026-01-01") == days(untilDate="0001-01-01") == days(changedFrom="9999-12-31") == []
        assert len(every_page(api, "branch", 2, fromDate="2030-01-01")) == 2, "branches have no day"
        assert every_page(api, "branch", 2, changedFrom="1990-01-01T00:00:01") == [], "these never changed"
        assert len(every_page(api, "branch", 2, changedFrom="1990-01-01")) == 2
        assert len(every_page(api, "order", 2, changedFrom="2030-01-01", fromDate="2030-01-01")) == 2
        assert len(every_page(api, "inventory", 2, fromDate="2025-01-01")) == 0
        for wrong in ("yesterday", "", "2025-13-01", "2025-03-01T00:00:00+01:00"):
            refused = api.get("sale", params={"fromDate": wrong})
            assert (refused.status_code, refused.json()["message"].split(":")[0]) == (400, "fromDate")


def test_parameters_are_ignored_as_in_reality_and_a_server_may_lie() -> None:
    liar = Merchant("liar", "liar-key", "liar-secret", sold(5), faults=Faults(ignores_filters=True))
    asking = {"fromDate": "2025-03-05", "changedFrom": "2030-01-01"}
    for merchants, rules in (([liar], Rules(filters=FILTERS)), ([liar], Rules())):
        with running(merchants, rules=rules) as sandbox, client(sandbox, "liar") as api:
            assert len(every_page(api, "sale", 2, **asking)) == 5
    only_days = Rules(filters=Filters(day_from="fromDate"))
    honest = Merchant("north", "north-key", "north-secret", sold(5))
    with running([honest], rules=only_days) as sandbox, client(sandbox, "north") as api:
        assert len(every_page(api, "sale", 2, **asking)) == 1


def test_a_selection_is_found_once_for_all_its_pages_and_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Listing(SHAPES["sale"], sold(50)["sale"], salt="north")
    searched: list[Selection] = []
    original = listing_module.selected

    def counting(shape: Any, frame: pl.DataFrame, selection: Selection) -> pl.DataFrame:
        searched.append(selection)
        return original(shape, frame, selection)

    monkeypatch.setattr(listing_module, "selected", counting)
    wanted = Selection(day_from=SOLD + timedelta(days=40))
    for _ in range(5):
        assert listing.select(wanted).rows == 10
        assert listing.select(EVERYTHING) is listing.view
    assert searched == [wanted]
    listing.insert([{"branchNumber": 1, "receiptNumber": 2_000_000, "date": "2025-05-01T00:00:00"}])
    assert listing.select(wanted).rows == 11
    assert searched == [wanted, wanted]
    for day in range(40):
        listing.select(Selection(day_from=SOLD + timedelta(days=day)))
    assert len(listing._views) <= 10, "selections nobody asks for any more are let go"


def test_tenant_files_name_the_filters_of_the_rules(tmp_path: Path) -> None:
    with_day = Filters(day_from="fromDate")
    for rules, expected in ((None, Filters()), (Rules(filters=with_day), with_day), (Rules(filters=FILTERS), FILTERS)):
        write_tenant_files([small("north")], tmp_path, "http://127.0.0.1:1", rules=rules)
        assert TenantDirectory(tmp_path).get("north").source.filters == expected  # type: ignore[union-attr]
