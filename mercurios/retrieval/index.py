"""One merchant's index: names and terms with their vectors, found exactly or by meaning.

    index = TenantIndex.build("north", entries, embedder)
    body = index.to_bytes()
    north = TenantIndex.open(body, "north", embedder)
    north.named(name_words("frozen pizza"))          # by name
    north.search("Tiefkühlpizza", kinds=("category",))   # by meaning, best first

The tenant is bound when an index is opened: bytes of another tenant, or made by another embedder, do not open.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mercurios.errors import RetrievalError
from mercurios.progress import Advance
from mercurios.retrieval.wording import name_words, readable

if TYPE_CHECKING:
    import faiss

    from mercurios.retrieval.embedder import Embedder

Kind = Literal["product_type", "category", "department", "branch", "metric", "glossary"]
FORMAT = 1
BATCH = 512
"""Texts embedded between two reports of progress."""
_SCHEMA = pa.schema(
    {
        "kind": pa.string(),
        "key": pa.string(),
        "text": pa.string(),
        "locale": pa.string(),
        "within": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True)
class Entry:
    """Something that can be named in a question.

    key: what a query uses (a category's name, a branch number, a metric). text: what is looked up and embedded.
    locale: `de`, `en`, or empty for a merchant's own names. within: `kind:key` of every broader value that holds all
    of this one's articles.
    """

    kind: Kind
    key: str
    text: str
    locale: str = ""
    within: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Kind and key, as `within` names it."""
        return f"{self.kind}:{self.key}"


@dataclass(frozen=True)
class Hit:
    """An entry and how near it is: the cosine, 1 for the same text."""

    entry: Entry
    score: float


@dataclass(frozen=True)
class TenantIndex:
    """An open index of one tenant; search is exact (a flat inner product index)."""

    tenant_id: str
    entries: tuple[Entry, ...]
    embedder: "Embedder"
    _vectors: "faiss.Index"

    @classmethod
    def build(
        cls, tenant_id: str, entries: Sequence[Entry], embedder: "Embedder", *, advance: Advance = lambda _: None
    ) -> "TenantIndex":
        """Embed the entries of one tenant, reporting progress; raises RetrievalError when there are none."""
        if not entries:
            raise RetrievalError(f"nothing to index for tenant {tenant_id!r}; export its masters first")
        import faiss

        texts = [readable(entry.text) or entry.text for entry in entries]
        parts = []
        for first in range(0, len(texts), BATCH):
            parts.append(embedder.encode(texts[first : first + BATCH]))
            advance(len(parts[-1]))
        vectors = np.concatenate(parts)
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(np.ascontiguousarray(vectors))
        return cls(tenant_id, tuple(entries), embedder, flat)

    @classmethod
    def open(cls, body: bytes, tenant_id: str, embedder: "Embedder") -> "TenantIndex":
        """Read what `to_bytes` wrote; raises RetrievalError for another tenant, another embedder or damaged bytes."""
        import faiss

        head, entries, vectors = _unpack(body)
        if head.get("tenant_id") != tenant_id:
            raise RetrievalError(
                f"the index belongs to another tenant than {tenant_id!r}; run `mercurios index` for it"
            )
        if head.get("embedder") != embedder.name:
            raise RetrievalError(
                f"the index was made by embedder {head.get('embedder')!r}, and this is {embedder.name!r}; "
                "run `mercurios index` again or set MERCURIOS_EMBEDDER back"
            )
        flat = faiss.deserialize_index(np.frombuffer(vectors, dtype=np.uint8))
        if flat.d != head.get("dimension") or flat.ntotal != len(entries):
            raise RetrievalError(f"the index of {tenant_id!r} is damaged: its vectors and its entries do not fit")
        return cls(tenant_id, entries, embedder, flat)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._vectors.d)

    def to_bytes(self) -> bytes:
        """The whole index as one zip archive; the same index gives the same bytes."""
        import faiss

        head = {
            "format": FORMAT,
            "tenant_id": self.tenant_id,
            "embedder": self.embedder.name,
            "dimension": self.dimension,
        }
        table = pa.Table.from_pylist([asdict(entry) for entry in self.entries], schema=_SCHEMA)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        vectors = faiss.serialize_index(self._vectors).tobytes()
        return _pack(
            {"index.json": json.dumps(head).encode(), "entries.arrow": sink.getvalue(), "vectors.faiss": vectors}
        )

    def search(self, text: str, kinds: Sequence[Kind], limit: int = 5) -> tuple[Hit, ...]:
        """The `limit` entries of these kinds that are nearest in meaning, best first."""
        import faiss

        rows = self._rows_of(tuple(kinds))
        if not len(rows):
            return ()
        vector = self.embedder.encode([readable(text) or text])
        if vector.shape[1] != self.dimension:
            raise RetrievalError(
                f"embedder {self.embedder.name!r} has {vector.shape[1]} dimensions, not {self.dimension}"
            )
        nearest = faiss.SearchParameters(sel=faiss.IDSelectorBatch(rows))  # type: ignore[call-arg]  # its stub is behind
        scores, found = self._vectors.search(vector, min(limit, len(rows)), params=nearest)
        return tuple(
            Hit(self.entries[row], float(score)) for score, row in zip(scores[0], found[0], strict=True) if row >= 0
        )

    def named(self, words: tuple[str, ...]) -> tuple[Entry, ...]:
        """Entries whose name is exactly these words (as `name_words` gives them)."""
        return self._by_name.get(words, ())

    def of_kind(self, kind: Kind) -> tuple[Entry, ...]:
        """All entries of one kind, in the order they were built."""
        return tuple(self.entries[row] for row in self._rows_of((kind,)))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that some name of the merchant uses."""
        return frozenset(word for name in self._by_name for word in name)

    @cached_property
    def longest_name(self) -> int:
        """Words of the longest name."""
        return max((len(name) for name in self._by_name), default=0)

    @cached_property
    def _by_name(self) -> dict[tuple[str, ...], tuple[Entry, ...]]:
        names: dict[tuple[str, ...], tuple[Entry, ...]] = {}
        for entry in self.entries:
            if entry.kind not in ("metric", "glossary"):
                words = name_words(entry.text)
                names[words] = (*names.get(words, ()), entry)
        names.pop((), None)
        return names

    def _rows_of(self, kinds: tuple[str, ...]) -> npt.NDArray[np.int64]:
        return np.array([row for row, entry in enumerate(self.entries) if entry.kind in kinds], dtype=np.int64)


def _pack(parts: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name), part)
    return body.getvalue()


def _unpack(body: bytes) -> tuple[dict[str, object], tuple[Entry, ...], bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            head = json.loads(archive.read("index.json"))
            rows = pa.ipc.open_file(archive.read("entries.arrow")).read_all().to_pylist()
            vectors = archive.read("vectors.faiss")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise RetrievalError(f"this is no index, or a damaged one ({error}); run `mercurios index` again") from error
    if head.get("format") != FORMAT:
        raise RetrievalError(f"index format {head.get('format')!r}, expected {FORMAT}; run `mercurios index` again")
    return head, tuple(Entry(**{**row, "within": tuple(row["within"])}) for row in rows), vectors
