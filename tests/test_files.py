"""Files that merchants drop: every dialect gives the records that the API would have sent."""

import csv
import io
import itertools
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import boto3
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from mercurios.errors import AuthenticationFailed, ConfigError, NotOffered, SourceError
from mercurios.secrets import SecretRef
from mercurios.sources import EVERYTHING, Page, Window
from mercurios.sources.contracts import CONTRACTS, SALE
from mercurios.sources.conversion import Converted, convert
from mercurios.sources.files import FileDrop, asked_of_files, entity_of
from mercurios.sources.folders import LocalFolder
from mercurios.sources.german import Separator, moment, numbers, separator_of
from mercurios.sources.tabular import plain
from mercurios.tenancy import FilesSource, ProHandelSource, Tenant

Record = dict[str, Any]
WRITTEN_AT = datetime(2025, 3, 30, 0, 59, 59, 250_000, UTC)
BERLIN = "2025-03-30T01:59:59.250000"  # a second before the clocks go forward
VIENNA = ZoneInfo("Europe/Vienna")


def tenant(url: str, name: str = "north", time_zone: str = "Europe/Berlin") -> Tenant:
    return Tenant(name, name.title(), "EUR", time_zone, "de", {1: 0.19}, FilesSource(url))


def drop(folder: Path, **more: Any) -> FileDrop:
    return FileDrop(tenant(folder.as_uri()), **more)


def put(folder: Path, name: str, body: bytes | str, written_at: datetime = WRITTEN_AT) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    os.utime(path, (written_at.timestamp(), written_at.timestamp()))
    return path


def pages(source: FileDrop, entity: str = "sale") -> list[Page]:
    return list(source.read(entity))


def records(source: FileDrop, entity: str = "sale") -> list[Any]:
    return [record for page in pages(source, entity) for record in page.records]


def converted(source: FileDrop, entity: str = "sale") -> Converted:
    return convert(CONTRACTS[entity], records(source, entity))


def line(number: int, **more: object) -> Record:
    """A sale line as the API sends it."""
    return {
        "id": f"line-{number}",
        "branchNumber": 7,
        "articleNumber": 110_131_893.0,
        "articleSizeNumber": 4_012_345_678_901.0,
        "cashRegisterNumber": 1,
        "receiptNumber": 1_000_001,
        "receiptPosition": number,
        "type": 0,
        "quantity": 1.0,
        "salePrice": 1012.5,
        "labelPrice": None,
        "zipCode": "01234",
        "date": "2025-12-31T00:00:00",
        "lastChange": "2025-12-31T10:11:12.12345",
        "isDeleted": False,
    } | more


def table(rows: Sequence[Mapping[str, object]], delimiter: str = ";") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


# -- dialects -----------------------------------------------------------------------------------------------------

WORDS = st.text(st.sampled_from(" abZ09äÖß€;,\t|\"'\n.-"), min_size=1, max_size=8).filter(str.strip)
MONEY = st.decimals(-9_999_999, 9_999_999, places=2).map(float)
MOMENTS = st.builds(datetime, st.integers(1990, 2099), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23))
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "branchNumber": st.integers(0, 999),
            "articleNumber": st.integers(1, 2**53),
            "receiptNumber": st.integers(0, 9_999_999),
            "quantity": MONEY,
            "salePrice": MONEY,
            "labelPrice": st.none() | MONEY,
            "zipCode": st.none() | WORDS,
            "date": MOMENTS,
            "isDeleted": st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)


def in_german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


NUMBER_STYLES: dict[str, Callable[[float], str]] = {
    "german": lambda value: f"{value:.2f}".replace(".", ","),
    "german, grouped": in_german,
    "german, sign behind": lambda value: in_german(abs(value)) + ("-" if value < 0 else ""),
    "english": lambda value: f"{value:.2f}",
    "english, grouped": lambda value: f"{value:,.2f}",
}
MOMENT_STYLES: dict[str, Callable[[datetime], str]] = {
    "german": lambda value: f"{value:%d.%m.%Y %H:%M}",
    "german, short": lambda value: f"{value.day}.{value.month}.{value.year} {value.hour}:{value:%M:%S}",
    "iso": datetime.isoformat,
    "iso with a blank": lambda value: value.isoformat(" "),
}
NAME_STYLES: dict[str, Callable[[str], str]] = {
    "api": str,
    "snake": lambda name: SALE.columns[name],
    "upper": str.upper,
    "blanks": lambda name: f" {SALE.columns[name].replace('_', ' ').title()} ",
}
TRUTHS = (("ja", "nein"), ("Wahr", "Falsch"), ("true", "false"), ("1", "0"))


@dataclass(frozen=True)
class Dialect:
    """One way of writing a CSV."""

    delimiter: str
    encoding: str
    quoting: Literal[0, 1]
    newline: str
    number: str
    moment: str
    name: str
    truths: tuple[str, str]
    has_hint: bool

    def cell(self, value: object) -> str:
        if isinstance(value, bool):
            return self.truths[0] if value else self.truths[1]
        if isinstance(value, float):
            return NUMBER_STYLES[self.number](value)
        if isinstance(value, datetime):
            return MOMENT_STYLES[self.moment](value)
        return "" if value is None else str(value)

    def write(self, rows: list[Record]) -> bytes:
        out = io.StringIO()
        if self.has_hint:
            out.write(f"sep={self.delimiter}{self.newline}")
        writer = csv.writer(out, delimiter=self.delimiter, quoting=self.quoting, lineterminator=self.newline)
        writer.writerow([NAME_STYLES[self.name](name) for name in rows[0]])
        writer.writerows([[self.cell(value) for value in row.values()] for row in rows])
        return out.getvalue().encode(self.encoding)


DIALECTS = st.builds(
    Dialect,
    st.sampled_from(";,\t|"),
    st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252")),
    st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    st.sampled_from(("\n", "\r\n")),
    st.sampled_from(list(NUMBER_STYLES)),
    st.sampled_from(list(MOMENT_STYLES)),
    st.sampled_from(list(NAME_STYLES)),
    st.sampled_from(TRUTHS),
    st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, dialect=DIALECTS)
def test_every_dialect_gives_the_same_rows(tmp_path: Path, lines: list[Record], dialect: Dialect) -> None:
    sent = [line(place) | each for place, each in enumerate(lines)]
    put(tmp_path, "sale.csv", dialect.write(sent))
    plain = [{name: v.isoformat() if isinstance(v, datetime) else v for name, v in each.items()} for each in sent]
    expected, got = convert(SALE, plain), converted(drop(tmp_path, page_rows=3))
    assert got.quarantined == expected.quarantined == ()
    assert got.frame.equals(expected.frame)


def typed(rows: list[Record]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    moments = pl.col("date", "lastChange").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
    return frame.with_columns(moments, pl.col("salePrice").cast(pl.Decimal(12, 2)), pl.col("type").cast(pl.Int16))


def as_excel(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.with_columns(pl.col("salePrice").cast(pl.Float64)).write_excel(out)
    return out.getvalue()


def as_parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def odd(rows: int = 1, **columns: pa.Array) -> bytes:
    """A Parquet file of sale lines, some columns of which are as given."""
    table = typed([line(number) for number in range(rows)]).to_arrow()
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


NO_UTF8 = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())


@pytest.mark.parametrize(("suffix", "write"), [("parquet", as_parquet), ("xlsx", as_excel), ("PARQUET", as_parquet)])
def test_typed_files_give_the_same_rows(tmp_path: Path, suffix: str, write: Callable[[pl.DataFrame], bytes]) -> None:
    changed = "2025-12-31T10:11:12.120000"  # Excel knows milliseconds
    sent = [line(1, lastChange=changed), line(2, lastChange=changed, salePrice=-0.99, isDeleted=True, labelPrice=2.5)]
    put(tmp_path, f"sale.{suffix}", write(typed(sent)))
    got = converted(drop(tmp_path, page_rows=1))
    assert got.quarantined == ()
    assert got.frame.to_dicts() == convert(SALE, sent).frame.to_dicts()


def test_typed_values_come_as_the_api_sends_them(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [4711],
            "zip_code": [1234.0],
            "salePrice": pl.Series([12.34], dtype=pl.Float32),
            "quantity": pl.Series(["1.234"]).cast(pl.Decimal(10, 3)),
            "articleNumber": pl.Series(["110131893"]).cast(pl.Decimal(20, 0)),
            "currencyNumber": pl.Series(["EUR"], dtype=pl.Categorical),
            "date": [date(2025, 12, 31)],
            "lastChange": pl.Series([datetime(2025, 6, 1, 10, tzinfo=UTC)]),
            "isDeleted": [1],
            "flag": [True],
            "blob": [b"\x00\xff"],
        }
    )
    put(tmp_path, "sale.parquet", as_parquet(frame))
    (record,) = records(drop(tmp_path))
    assert record == {
        "id": "4711",
        "zipCode": "1234",
        "salePrice": 12.34,
        "quantity": 1.234,
        "articleNumber": 110_131_893,
        "currencyNumber": "EUR",
        "date": "2025-12-31T00:00:00",
        "lastChange": "2025-06-01T12:00:00",
        "isDeleted": True,
        "flag": True,
        "blob": "00ff",
    }


# -- what can be read two ways ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "read"),
    [
        (["1.234", "12,5"], [1234.0, 12.5]),
        (["1,234", "12.5"], [1234.0, 12.5]),
        (["1,234", "12,5"], [1.234, 12.5]),
        (["1.234", "0.125"], [1.234, 0.125]),
        (["1.234", "1.234.567"], [1234.0, 1_234_567.0]),
        (["1.234", "1.234,5-"], [1234.0, -1234.5]),
        (["1.234", "7"], ["1.234", 7.0]),
        (["1.234", "1,5", "1.5"], ["1.234", 1.5, 1.5]),
        (["+3", "−4", "1e3", "1,5E-2", " 8 "], [3.0, -4.0, 1000.0, 0.015, 8.0]),
        (["1.23,4", "12.34.567", "0.123.456", "1_0", "nan", "inf", "1e999", "", None], None),
    ],
)
def test_what_a_separator_means_is_decided_by_evidence(column: list[str], read: list[object] | None) -> None:
    series = pl.Series(column, dtype=pl.String)
    assert numbers(series, separator_of(series)) == (column if read is None else read)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1), st.sampled_from(Separator))
def test_numbers_come_back_whichever_way_they_are_written(values: list[float], separator: Separator) -> None:
    texts = [f"{value!r}".replace(".", separator.value) for value in values]
    assert numbers(pl.Series(texts), separator) == values


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(Separator))
def test_whole_numbers_are_exact(value: int, separator: Separator) -> None:
    assert numbers(pl.Series([str(value)]), separator, whole=True) == [value]


@given(st.text(max_size=12))
def test_a_text_is_a_number_or_stays_as_it_is(text: str) -> None:
    for separator in (None, *Separator):
        (value,) = numbers(pl.Series([text]), separator)
        assert value == text if isinstance(value, str) else isinstance(value, float)
    assert moment(text, VIENNA) == text or datetime.fromisoformat(moment(text, VIENNA))


NO_MOMENTS = ("31.02.2025", "31.12.25", "03/04/2025", "2025-13-01", "gestern", "31.12.2025 25:00")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("31.12.2025", "2025-12-31T00:00:00"),
        ("1.3.2025 4:05:06,5 Uhr", "2025-03-01T04:05:06.500000"),
        ("31.12.2025, 14:05", "2025-12-31T14:05:00"),
        ("2025-03-01", "2025-03-01T00:00:00"),
        ("2025-03-01T10:11:12.1234567", "2025-03-01T10:11:12.123456"),
        ("2025-03-01T10:11:12Z", "2025-03-01T11:11:12"),
        ("2025-07-01 10:11:12+00:00", "2025-07-01T12:11:12"),
        *((text, text) for text in NO_MOMENTS),
    ],
)
def test_moments_are_read_or_stay_as_they_are(text: str, read: str) -> None:
    assert moment(text, VIENNA) == read


def test_a_column_without_evidence_is_read_as_the_rest_of_its_file(tmp_path: Path) -> None:
    rows = [line(1, quantity="1,000", salePrice="12,50"), line(2, quantity="2,500", salePrice="7,00")]
    put(tmp_path, "sale.csv", table([row | {"articleNumber": "110.131", "articleSizeNumber": 8} for row in rows]))
    read = [(row["quantity"], row["articleNumber"]) for row in records(drop(tmp_path))]
    assert read == [(1.0, 110_131), (2.5, 110_131)]


def test_evidence_counts_wherever_in_the_file_it_stands(tmp_path: Path) -> None:
    rows = [line(place, salePrice="1.234") for place in range(20)] + [line(20, salePrice="12,5")]
    put(tmp_path, "sale.csv", table(rows))
    assert [row["salePrice"] for row in records(drop(tmp_path, page_rows=3))] == [1234.0] * 20 + [12.5]


def test_what_cannot_be_decided_is_quarantined_as_it_was(tmp_path: Path) -> None:
    rows = [line(1, quantity=1, salePrice="1.234"), line(2, quantity=1, salePrice="7")]
    put(tmp_path, "sale.csv", table([row | {"articleNumber": 7, "articleSizeNumber": 8} for row in rows]))
    got = converted(drop(tmp_path))
    assert got.frame["id"].to_list() == ["line-2"]
    (held,) = got.quarantined
    (reason,) = held.reasons
    assert reason.startswith(
        "salePrice: expected number, got number 1.234, which may be 1.234 or 1234; write 1234 or 1.2340"
    )
    assert json.loads(held.record)["salePrice"] == "1.234"


def test_a_number_among_the_texts_of_excel_is_not_taken_for_a_german_one(tmp_path: Path) -> None:
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        for column, name in enumerate(("id", "salePrice", "date", "zipCode")):
            sheet.write(0, column, name)
        for row, price in enumerate((1.234, "12,50", 1234.5, "abc"), start=1):
            sheet.write_row(row, 0, [f"x{row}", price])
            sheet.write_datetime(row, 2, datetime(2025, 12, 31), book.add_format({"num_format": "dd.mm.yyyy"}))
            sheet.write(row, 3, "01234" if row == 1 else 80331)
    put(tmp_path, "Sales.xlsx", out.getvalue())
    rows = records(drop(tmp_path))
    assert [row["salePrice"] for row in rows] == ["1.234", 12.5, 1234.5, "abc"]
    assert [row["zipCode"] for row in rows] == ["01234", "80331", "80331", "80331"]
    assert {row["date"] for row in rows} == {"2025-12-31T00:00:00"}


# -- which files, and when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("sale.csv", "sale"),
        ("Sale_2025-03-01.CSV", "sale"),
        ("sales-x.parquet", "sale"),
        ("article.csv", "article"),
        ("articles2025.csv", "article"),
        ("articlesize.csv", "articlesize"),
        ("article_size.csv", "articlesize"),
        ("ArticleSizes 3.xlsx", "articlesize"),
        ("branches.csv", "branch"),
        ("Categories.csv", "category"),
        ("country.csv", "country"),
        ("sale/2025/03.parquet", "sale"),
        ("Inventory/x.csv", "inventory"),
        ("archive/sale.csv", None),
        ("customercard.csv", None),
        ("orderposition.csv", None),
        ("saleß.csv", None),
        ("readme.csv", None),
    ],
)
def test_a_file_belongs_to_the_entity_its_name_begins_with(name: str, entity: str | None) -> None:
    assert entity_of(name) == entity


def test_no_two_fields_go_by_the_same_name() -> None:
    for contract in CONTRACTS.values():
        assert len({plain(name) for name in contract.known}) == len(contract.known)


def test_every_entity_has_files_of_its_own() -> None:
    assert [entity_of(f"{entity}_1.csv") for entity in CONTRACTS] == list(CONTRACTS)


def test_work_in_progress_and_foreign_files_are_not_seen(tmp_path: Path) -> None:
    names = ("sale.csv", "~$sale.xlsx", ".sale.csv.part", "sale.csv.tmp", "sale/_tmp/1.csv", "done/sale.csv", "x.csv")
    for name in names:
        put(tmp_path, name, table([line(1)]))
    assert {entity: [found.name for found in files] for entity, files in drop(tmp_path).files.items()} == {
        "sale": ["sale.csv"]
    }


def test_each_file_is_read_once_and_again_when_it_was_written_anew(tmp_path: Path) -> None:
    put(tmp_path, "sale_2.csv", table([line(2)]), datetime(2025, 1, 1, tzinfo=UTC))
    put(tmp_path, "sale_1.csv", table([line(1)]))
    first = pages(drop(tmp_path))
    assert [page.origin.split()[0] for page in first if page.origin] == ["sale_2.csv", "sale_1.csv"]
    done = frozenset(page.origin for page in first if page.origin)
    assert pages(drop(tmp_path, done=done)) == []
    put(tmp_path, "sale_1.csv", table([line(1), line(3)]))
    (again,) = pages(drop(tmp_path, done=done))
    assert [record["id"] for record in again.records] == ["line-1", "line-3"]
    assert again.origin not in done


def test_a_file_that_was_read_may_be_moved_away(tmp_path: Path) -> None:
    put(tmp_path, "sale_1.csv", table([line(1)]))
    done = frozenset(page.origin for page in pages(drop(tmp_path)) if page.origin)
    (tmp_path / "done").mkdir()
    (tmp_path / "sale_1.csv").rename(tmp_path / "done" / "sale_1.csv")
    assert pages(drop(tmp_path, done=done)) == []
    with pytest.raises(NotOffered):
        pages(drop(tmp_path, done=done), "article")


@pytest.mark.parametrize("body", ["", "\n\n", "id;date;salePrice\n", "id;date;salePrice\r\n;;\r\n"])
def test_a_file_without_records_counts_as_read(tmp_path: Path, body: str) -> None:
    put(tmp_path, "sale.csv", body)
    (page,) = pages(drop(tmp_path))
    assert (page.records, page.end) == ([], None)
    assert page.origin
    assert page.origin.startswith("sale.csv sha256:")


def test_pages_follow_each_other_and_only_the_last_says_so(tmp_path: Path) -> None:
    put(tmp_path, "sale_1.csv", table([line(place) for place in range(5)]))
    put(tmp_path, "sale_2.csv", table([line(place) for place in range(2)]))
    read = pages(drop(tmp_path, page_rows=2))
    places = [(page.start, page.end, len(page.records)) for page in read]
    assert places == [(0, 2, 2), (2, 4, 2), (4, 5, 1), (5, None, 2)]
    assert len({page.origin for page in read}) == 2


def test_only_everything_can_be_read_from_the_start(tmp_path: Path) -> None:
    source = drop(tmp_path)
    assert not source.is_listing
    assert source.can_read("sale", EVERYTHING)
    some_days = Window(day_from=date(2025, 1, 1))
    assert not source.can_read("sale", some_days)
    with pytest.raises(SourceError, match="read whole"):
        next(source.read("sale", some_days))
    with pytest.raises(SourceError, match="from record 3"):
        next(source.read("sale", start=3))


def test_an_entity_without_files_is_not_offered_and_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    put(tmp_path, "sale.csv", table([line(1)]))
    with pytest.raises(NotOffered, match=r"no file of article; expected article\*\.csv"):
        pages(drop(tmp_path), "article")
    with pytest.raises(SourceError, match=r"no folder at .*nowhere"):
        pages(drop(tmp_path / "nowhere"))


def test_a_source_of_another_kind_is_refused(tmp_path: Path) -> None:
    ref = SecretRef("env", "X")
    prohandel = Tenant("n", "N", "EUR", "UTC", "de", {}, ProHandelSource("https://auth.example.com", ref, ref))
    with pytest.raises(ConfigError, match="no `kind: files` source"):
        FileDrop(prohandel)


# -- what a record lacks ------------------------------------------------------------------------------------------


def test_a_record_without_id_gets_the_same_one_from_every_file(tmp_path: Path) -> None:
    row = {name: value for name, value in line(1).items() if name not in {"id", "lastChange", "isDeleted"}}
    german = row | {"date": "31.12.2025", "salePrice": "1.012,50", "receiptNumber": "1.000.001", "quantity": "1"}
    put(tmp_path, "north/sale.csv", table([german]))
    put(tmp_path, "north/sale.parquet", as_parquet(typed([line(1)]).drop("id")))
    put(tmp_path, "south/sale.csv", table([german | {"articleNumber": 5}]))
    ids = [record["id"] for record in records(drop(tmp_path / "north"))]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    south = FileDrop(tenant((tmp_path / "south").as_uri(), "south"))
    assert records(south)[0]["id"] not in ids
    assert converted(south).quarantined == ()


def test_a_promotion_needs_no_article_and_no_branch_to_be_known_again(tmp_path: Path) -> None:
    head = "kind;category_number;article_number;branch_number;first_day;last_day;share;discount"
    week = "04.12.2017;10.12.2017;0,5;0,2"
    put(tmp_path, "promotion_49.csv", f"{head}\nmailer;30001;;;{week}\nmailer;30002;;3;{week}\n")
    put(tmp_path, "promotions_again.csv", f"{head}\nmailer;30001;;;04.12.2017;10.12.2017;0,75;0,2\n;30001;;;{week}\n")
    found = converted(drop(tmp_path), "promotion")
    rows = found.frame.select("id", "category_number", "branch_number", "share", "discount").rows()
    first, other, again = (row[0] for row in rows)
    assert first == again != other
    assert [row[1:] for row in rows] == [(30001, None, 0.5, 0.2), (30002, 3, 0.5, 0.2), (30001, None, 0.75, 0.2)]
    assert len(found.quarantined) == 1  # without a kind there is no key


def test_a_factor_is_told_by_day_and_by_when_it_became_known(tmp_path: Path) -> None:
    """Weather of one day, forecast and then measured, is two records; what names no day or no number is put aside."""
    rows = ["Regen;04.12.2017;30.11.2017;3,5", "Regen;04.12.2017;05.12.2017;0,0", "Ferien;23.12.2017;;1,0"]
    put(tmp_path, "factor_2017.csv", "\n".join(["factor;day;known_on;value", *rows]))
    put(
        tmp_path,
        "factor_more.csv",
        "factor;day;known_on;value\nFerien;23.12.2017;;0,5\nFerien;;;1,0\nWind;23.12.2017;;x\n",
    )
    found = converted(drop(tmp_path), "factor")
    ids = found.frame["id"].to_list()
    assert ids[2] == ids[3]
    assert len(set(ids)) == 3
    december = [datetime(2017, 12, day) for day in (4, 4, 23, 23)]
    assert found.frame["day"].to_list() == december
    assert found.frame["known_on"].to_list() == [datetime(2017, 11, 30), datetime(2017, 12, 5), None, None]
    assert found.frame["value"].to_list() == [3.5, 0.0, 1.0, 0.5]
    assert [held.reasons for held in found.quarantined] == [
        ("id: expected text, got null", "day: expected timestamp, got null"),
        ("value: expected number, got other text",),
    ]


def test_a_record_without_a_whole_business_key_is_quarantined(tmp_path: Path) -> None:
    put(tmp_path, "sale.csv", table([line(1, id=""), line(2, id="", receiptPosition=""), line(3)]))
    got = converted(drop(tmp_path))
    assert got.frame.height == 2
    assert [held.reasons for held in got.quarantined] == [("id: expected text, got null",)]


def test_a_record_without_last_change_has_the_time_of_its_file(tmp_path: Path) -> None:
    put(tmp_path, "sale.csv", table([line(1, lastChange="", isDeleted=""), line(2, isDeleted="ja")]))
    first, second = records(drop(tmp_path))
    assert (first["lastChange"], first["isDeleted"]) == (BERLIN, False)
    assert (second["lastChange"], second["isDeleted"]) == ("2025-12-31T10:11:12.123450", True)
    put(tmp_path, "order.csv", "number;info\n7;x\n")
    (order,) = records(drop(tmp_path), "order")  # the API sends neither for orders
    assert {"lastChange", "isDeleted"}.isdisjoint(order)
    assert converted(drop(tmp_path), "order").quarantined == ()


def test_personal_fields_are_left_behind_however_they_are_written(tmp_path: Path) -> None:
    canary = "canary-4711"
    put(
        tmp_path,
        "customer.csv",
        table([{"number": 7, "WEBSHOP_USER_PASSWORD": canary, "iban": canary, "Date of Birth": canary, "zip_code": 1}]),
    )
    (record,) = records(drop(tmp_path), "customer")
    assert canary not in json.dumps(record)
    assert record["zipCode"] == "1"


def test_positions_come_from_lists_and_from_json(tmp_path: Path) -> None:
    positions = [{"article_number": 7, "quantity": 2.0, "expected_arrival": datetime(2025, 1, 2)}]
    put(tmp_path, "order_1.parquet", as_parquet(pl.DataFrame({"number": [1], "positions": [positions]})))
    put(tmp_path, "order_2.csv", table([{"number": 2, "positions": '[{"ArticleNumber": 7}]'}]))
    put(tmp_path, "order_3.csv", table([{"number": 3, "positions": "[{"}, {"number": 4, "positions": ""}]))
    rows = {record["number"]: record["positions"] for record in records(drop(tmp_path), "order")}
    assert rows[1] == [{"articleNumber": 7, "quantity": 2.0, "expectedArrival": "2025-01-02T00:00:00"}]
    assert rows[2] == [{"articleNumber": 7}]
    assert (rows[3], rows[4]) == ("[{", None)
    assert len(converted(drop(tmp_path), "order").quarantined) == 1


# -- what is wrong with a file ------------------------------------------------------------------------------------


def test_rows_of_another_width_are_quarantined_and_tell_where_they_are(tmp_path: Path) -> None:
    head = "id,branchNumber,articleNumber,cashRegisterNumber,receiptNumber,type,quantity,salePrice,date\n"
    good = "a,1,2,3,4,0,1,2.5,2025-01-01"
    put(tmp_path, "sale.csv", f"{head}{good}\n{good},,\na,1,2,3,4,0,1,12,50,2025-01-01\na,1,2\n{good}\n")
    got = converted(drop(tmp_path))
    assert got.frame.height == 3
    assert [json.loads(held.record) for held in got.quarantined] == [
        "sale.csv row 4: 10 cells, the header has 9",
        "sale.csv row 5: 3 cells, the header has 9",
    ]
    assert [held.reasons for held in got.quarantined] == [(json.loads(held.record),) for held in got.quarantined]


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("sale.parquet", as_parquet(typed([line(1)]))[:-20], "sale.parquet cannot be read as parquet"),
        ("sale.parquet", b"", "sale.parquet cannot be read as parquet"),
        ("sale.parquet", odd(date=pa.array([2**62]).view(pa.time64("us"))), "cannot be read as parquet .ArrowInvalid"),
        ("sale.parquet", odd(quantity=pa.array([1]).cast(pa.decimal256(70, 2))), "cannot be read as parquet .Panic"),
        ("sale.parquet", odd(id=NO_UTF8), "cannot be read as parquet .ArrowInvalid"),
        ("sale.xlsx", as_excel(typed([line(1)]))[:-400], "sale.xlsx cannot be read as xlsx"),
        ("sale.xlsx", b"id;date\n", "sale.xlsx cannot be read as xlsx"),
        ("sale.csv", 'id;date\n1;"2025-01-01\n2;2025-01-01\n', "sale.csv, line 3: unexpected end of data"),
        ("sale.csv", 'id;date\n1;"a"b\n', "sale.csv, line 2: ';' expected after '\"'"),
        ("sale.csv", "id;date\nä;x\nü".encode()[:-1], "sale.csv ends within a character"),
        ("sale.csv", b"id;date\n\x81;\xfc\n", "neither UTF-8, UTF-16 nor Windows-1252"),
        ("sale.csv", "id;sale_price;Sale Price\n1;2;3\n", "more than one column salePrice"),
        ("sale.csv", "name;street\nx;y\n", r"no column of sale; expected such as id, .*; name the columns"),
    ],
    ids=itertools.count(),
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, body: bytes | str, message: str) -> None:
    put(tmp_path, name, body)
    with pytest.raises(SourceError, match=message) as caught:
        pages(drop(tmp_path))
    assert caught.value.__cause__ is caught.value.__context__ is None  # either may quote what is in the file


@pytest.mark.parametrize(
    "moments",
    [
        pa.array([10**8, 20_000], pa.int32()).cast(pa.date32()),
        pa.array([-(10**8), 20_000], pa.int32()).cast(pa.date32()),
        pa.array([2**62, 1_728_000_000_000_000]).view(pa.timestamp("us")),
        pa.array([2**62, 1_728_000_000_000]).view(pa.timestamp("ms")),
        pa.array([-(2**62), 1_728_000_000_000_000]).view(pa.timestamp("us", "UTC")),
    ],
    ids=lambda moments: str(moments.type),
)
def test_a_moment_that_no_calendar_has_breaks_its_own_record_only(tmp_path: Path, moments: pa.Array) -> None:
    put(tmp_path, "sale.parquet", odd(2, date=moments))
    got = converted(drop(tmp_path))
    assert got.frame["date"].dt.date().to_list() == [date(2024, 10, 4)]
    assert [held.reasons for held in got.quarantined] == [("date: expected timestamp, got other text",)]


def test_a_header_that_is_nearly_right_is_told_with_what_it_could_be(tmp_path: Path) -> None:
    put(tmp_path, "sale.csv", "artikle;price;Erika Muster\n1;2;3\n")
    with pytest.raises(SourceError) as caught:
        pages(drop(tmp_path))
    assert "price could be salePrice or labelPrice" in str(caught.value)
    assert "Erika" not in str(caught.value)
    assert "`mercurios tenant fields sale`" in str(caught.value)


@pytest.mark.parametrize("name", ["sale.csv", "sale.xlsx", "sale.parquet"])
def test_a_page_of_a_file_tells_the_row_of_each_record_as_a_person_counts_it(tmp_path: Path, name: str) -> None:
    rows = typed([line(number) for number in range(1, 6)])
    body = {"xlsx": as_excel, "parquet": as_parquet}.get(name.partition(".")[2])
    put(
        tmp_path, name, body(rows) if body else table([line(number) for number in range(1, 6)]).replace("\n", "\n\n", 1)
    )
    first = {"sale.csv": 3, "sale.xlsx": 2, "sale.parquet": 1}[name]  # a header, and in the CSV an empty row
    got = [row for page in pages(drop(tmp_path, page_rows=2)) for row in page.rows or ()]
    assert got == list(range(first, first + 5))


@pytest.mark.parametrize("entity", CONTRACTS)
def test_a_file_with_what_it_must_have_is_sound_and_without_one_of_these_is_not(tmp_path: Path, entity: str) -> None:
    example = {"integer": 7, "number": "7,5", "boolean": "ja", "timestamp": "01.02.2025", "text": "x", "code": "x"}
    contract = CONTRACTS[entity]
    row = {name: example[kind] for name, kind, need in asked_of_files(contract) if need == "must"}
    key = set(contract.business_key) - set(row) - contract.may_lack  # without a key there has to be an id
    row |= {field.name: example[field.kind.value] for field in contract.kept if field.name in key}
    put(tmp_path, f"{entity}.csv", table([row]))
    assert converted(drop(tmp_path), entity).frame.height == 1
    for name in row:
        put(tmp_path, f"{entity}.csv", table([{**row, name: ""}]))
        assert converted(drop(tmp_path), entity).frame.height == 0, name


def test_a_broken_file_loses_nothing_of_the_others(tmp_path: Path) -> None:
    put(tmp_path, "sale_1.csv", table([line(1)]), datetime(2025, 1, 1, tzinfo=UTC))
    broken = put(tmp_path, "sale_2.parquet", b"PAR1", datetime(2025, 1, 2, tzinfo=UTC))
    put(tmp_path, "sale_3.csv", table([line(3)]), datetime(2025, 1, 3, tzinfo=UTC))
    with pytest.raises(SourceError, match=r"sale_2\.parquet"):
        pages(drop(tmp_path))
    broken.write_bytes(as_parquet(typed([line(2)])))
    assert {record["id"] for record in records(drop(tmp_path))} == {"line-1", "line-2", "line-3"}


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "sale.csv", table([line(place) for place in range(9)]))
    reading = drop(tmp_path, page_rows=2).read("sale")
    next(reading)
    with path.open("a") as file:
        file.write("x")
    with pytest.raises(SourceError, match=r"sale\.csv is still being written"):
        list(reading)


def test_old_windows_text_and_bytes_of_utf8_are_told_apart(tmp_path: Path) -> None:
    for place, encoding in enumerate(("cp1252", "utf-8", "utf-16")):
        put(tmp_path, f"branch_{place}.csv", "number;name1\n1;Größe € – Köln\n2;ß".encode(encoding))
    assert {record["name1"] for record in records(drop(tmp_path), "branch")} == {"Größe € – Köln", "ß"}


# -- a bucket -----------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="shop")
        yield client


def test_a_bucket_is_read_like_a_folder(bucket: Any, tmp_path: Path) -> None:
    bodies = {
        "sale_1.csv": table([line(1)]).encode(),
        "sale/2.parquet": as_parquet(typed([line(2)])),
        "sale.xlsx": as_excel(typed([line(3)])),
        "archive/sale.csv": b"x",
    }
    for name, body in bodies.items():
        bucket.put_object(Bucket="shop", Key=f"north/{name}", Body=body)
        put(tmp_path, name, body)
    bucket.put_object(Bucket="shop", Key="northern/sale.csv", Body=b"not north's")
    bucket.put_object(Bucket="shop", Key="north/sale/", Body=b"")
    source = FileDrop(tenant("s3://shop/north"))
    assert {record["id"] for record in records(source)} == {"line-1", "line-2", "line-3"}
    assert {page.origin for page in pages(source)} == {page.origin for page in pages(drop(tmp_path))}
    changed = records(source)[0]
    assert converted(source).quarantined == ()
    assert changed["lastChange"].startswith("2025-12-31")


def test_a_bucket_that_does_not_answer_is_named(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="s3://nowhere/: AWS answers NoSuchBucket; correct `url`"):
        assert FileDrop(tenant("s3://nowhere")).files
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", "nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AuthenticationFailed, match="no AWS credentials"):
        assert FileDrop(tenant("s3://shop")).files


# -- size ---------------------------------------------------------------------------------------------------------


def test_a_large_text_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    rows = table([line(place, zipCode="x" * 2000) for place in range(2_000)])
    put(tmp_path, "sale.csv", rows)
    source, count = drop(tmp_path, page_rows=50), 0
    tracemalloc.start()
    for page in source.read("sale"):
        count += len(page.records)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2_000
    assert peak < len(rows)


def test_a_link_and_what_is_no_file_are_not_read(tmp_path: Path) -> None:
    """A link may lead to another merchant's files; a pipe would be waited for without end."""
    other, folder = tmp_path / "south", tmp_path / "north"
    other.mkdir()
    folder.mkdir()
    (other / "label_1.csv").write_text("id;number;name\na;1;x\n")
    (folder / "label_2.csv").symlink_to(other / "label_1.csv")
    (folder / "label").symlink_to(other)
    os.mkfifo(folder / "label_3.csv")
    assert LocalFolder(folder).files() == ()


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/label_\xe4.csv"))).write_text("id\n")
    with pytest.raises(SourceError, match="rename it"):
        LocalFolder(tmp_path).files()
