"""Tables in files: CSV of any dialect, Parquet and Excel, read slice by slice.

    table = open_table(file, "sale.csv", known=frozenset({plain("salePrice")}))
    for part in table.slices(1000): part.frame

CSV: `;`, `,`, tab or `|`, whichever parts the header into most names that are known; quotes are `"`; UTF-8 and UTF-16
with or without a byte order mark, else Windows-1252. All cells are texts, empty ones null. Excel: the first sheet, the
whole of it in memory.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, NoReturn, Protocol

import fastexcel
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mercurios.errors import SourceError

SUFFIXES = (".csv", ".parquet", ".xlsx")
_DELIMITERS = ";,\t|"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CHUNK_BYTES = 1 << 20
CONTENT = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OverflowError)
"""What polars raises of values that it cannot give to Python."""
ODD = (*CONTENT, pa.ArrowException, fastexcel.FastExcelError, OSError, TypeError, LookupError)
"""What readers raise of files that are none."""


@dataclass(frozen=True)
class Slice:
    """Some rows of a table, with their numbers in the file as a person counts them.

    strangers: the rows that have not as many cells as the header has, by number, in words.
    """

    frame: pl.DataFrame
    rows: Sequence[int]
    strangers: Mapping[int, str] = field(default_factory=dict)


class Table(Protocol):
    """A table in a file.

    names: of its columns, trimmed. is_mixed: whether a text can be a number that was made one to stand among texts.
    """

    names: tuple[str, ...]
    is_mixed: bool

    def slices(self, rows: int) -> Iterator[Slice]:
        """All rows, at most `rows` at a time; can be asked for again. Raises SourceError naming the file."""


def open_table(file: IO[bytes], name: str, known: frozenset[str]) -> Table:
    """The table in a file that is open for reading; its suffix says how. Raises SourceError naming the file.

    known: names (see `plain`) by which the delimiter of a CSV is told.
    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix == ".parquet":
        return _Parquet(file, name)
    return _Excel(file, name) if suffix == ".xlsx" else _Csv(file, name, known)


def plain(name: str) -> str:
    """A column's name by its letters and digits only: salePrice, sale_price and SALE PRICE are one."""
    return "".join(filter(str.isalnum, name)).casefold()


class _Csv:
    is_mixed = False

    def __init__(self, file: IO[bytes], name: str, known: frozenset[str]) -> None:
        self._file, self._name = file, name
        self._encoding = _encoding(file, name)
        with self._text() as text:
            first = next((line for line in text if line.strip()), "").strip("\r\n")
            self._has_hint = first.lower().startswith("sep=") and len(first) == len("sep=;")
            header = next(text, "").strip("\r\n") if self._has_hint else first
            delimiters = first[-1] if self._has_hint else _DELIMITERS
            self._delimiter = max(delimiters, key=lambda each: _score(header, each, known))
        with self._rows() as rows:
            cells = [cell.strip() for cell in next(rows, (0, []))[1]]
        while cells and not cells[-1]:
            cells.pop()
        self.names = tuple(cell or f"column{place}" for place, cell in enumerate(cells, start=1))

    def slices(self, rows: int) -> Iterator[Slice]:
        with self._rows() as lines:
            next(lines, None)
            while chunk := list(islice(lines, rows)):
                yield self._slice(chunk)

    def _slice(self, chunk: list[tuple[int, list[str]]]) -> Slice:
        width = len(self.names)
        whole: dict[int, list[str]] = {}
        strangers: dict[int, str] = {}
        for number, row in chunk:
            if len(row) > width and not any(row[width:]):
                row = row[:width]
            if len(row) == width:
                whole[number] = row
            else:
                strangers[number] = f"{len(row)} cells, the header has {width}"
        columns = zip(*whole.values(), strict=True) if whole else [()] * width
        series = [pl.Series(f"{place}", cells, dtype=pl.String) for place, cells in enumerate(columns)]
        frame = pl.DataFrame(series).with_columns(pl.when(pl.all().str.strip_chars() != "").then(pl.all()))
        return Slice(frame, tuple(whole), strangers)

    @contextmanager
    def _rows(self) -> Iterator[Iterator[tuple[int, list[str]]]]:
        """Rows with anything in them, by number from 1, the header first."""
        with self._text() as text:
            if self._has_hint:
                next(line for line in text if line.strip())
            reader = csv.reader(text, delimiter=self._delimiter, strict=True)
            try:
                yield ((n, row) for n, row in enumerate(reader, start=1) if any(cell.strip() for cell in row))
            except csv.Error as error:
                problem = f"{self._name}, line {reader.line_num}: {error}"
                raise_alone(SourceError(f"{problem}; correct the quotes there, or write it again"))

    @contextmanager
    def _text(self) -> Iterator[io.TextIOWrapper]:
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, self._encoding, newline="")
        try:
            yield text
        except UnicodeDecodeError:
            raise_alone(SourceError(f"{self._name} is neither UTF-8, UTF-16 nor Windows-1252; write it again"))
        finally:
            text.detach()


def _score(header: str, delimiter: str, known: frozenset[str]) -> tuple[int, int]:
    try:
        cells = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:  # it is told when the rows are read
        return 0, 0
    return sum(plain(cell) in known for cell in cells), len(cells)


def _encoding(file: IO[bytes], name: str) -> str:
    """The encoding of a text: by its byte order mark, by the zeros of UTF-16, or by whether it can be UTF-8."""
    file.seek(0)
    head = file.read(_CHUNK_BYTES)
    for bom, encoding in _BOMS.items():
        if head.startswith(bom):
            return encoding
    if head[1:2] == b"\0" or head[:1] == b"\0":
        return "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    while head:
        try:
            is_ascii &= decoder.decode(head).isascii()
        except UnicodeDecodeError:
            return "cp1252"
        head = file.read(_CHUNK_BYTES)
    if decoder.getstate()[0] and not is_ascii:
        raise SourceError(f"{name} ends within a character: it is cut off, or still being written; write it again")
    return "cp1252" if decoder.getstate()[0] else "utf-8"


class _Parquet:
    is_mixed = False

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._name = name
        with readable(name):
            self._table = pq.ParquetFile(file)
        self.names = tuple(each.strip() for each in self._table.schema_arrow.names)

    def slices(self, rows: int) -> Iterator[Slice]:
        first = 1
        with readable(self._name):
            for batch in self._table.iter_batches(batch_size=rows):
                batch.validate(full=True)
                columns = [pl.Series(f"{place}", column) for place, column in enumerate(batch.columns)]
                yield Slice(pl.DataFrame(columns), range(first, first + batch.num_rows))
                first += batch.num_rows


class _Excel:
    is_mixed = True

    def __init__(self, file: IO[bytes], name: str) -> None:
        file.seek(0)
        with readable(name):
            frame = pl.read_excel(file.read(), infer_schema_length=None, raise_if_empty=False)
        named = [each for each in frame.columns if not (each.startswith("__UNNAMED__") and frame[each].is_null().all())]
        self.names = tuple(each.strip() for each in named)
        self._frame = frame.select(named)
        self._frame.columns = [f"{place}" for place in range(len(named))]

    def slices(self, rows: int) -> Iterator[Slice]:
        first = 2  # below the header
        for frame in self._frame.iter_slices(rows):
            texts = pl.col(pl.String)
            whole = frame.with_columns(pl.when(texts.str.strip_chars() != "").then(texts))
            yield Slice(whole, range(first, first + whole.height))
            first += whole.height


@contextmanager
def readable(name: str, errors: tuple[type[BaseException], ...] = ODD) -> Iterator[None]:
    """Raise SourceError naming the file for what a reader may raise of what is in it."""
    try:
        yield
    except errors as error:
        raise_alone(
            SourceError(
                f"{name} cannot be read as {PurePosixPath(name).suffix[1:]} ({type(error).__name__}): it is cut off, "
                "still being written, or something else; write it again, or move it away"
            )
        )


def raise_alone(error: SourceError) -> NoReturn:
    """Raise an error without the one that led to it, which may quote what is in the file."""
    try:
        raise error
    finally:
        error.__context__ = None
