"""Embeddings and the index of one tenant: same vectors either way, exact search, and no way into another tenant's."""

import io
import threading
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercurios.errors import RetrievalError
from mercurios.jobs.index import index as index_job
from mercurios.jobs.index import value_entries
from mercurios.lake import Lake
from mercurios.metrics import Metric
from mercurios.retrieval import Embedder, Entry, TenantIndex, load_glossary, open_embedder, open_query_embedder
from mercurios.retrieval.embedder import RememberingEmbedder
from mercurios.retrieval.wording import edit_distance, name_words, readable, singular, skeleton
from mercurios.serving import open_session
from mercurios.tables import TABLES

UNHURRIED = settings(deadline=None)
"""The machine may be busy."""
TEXTS = ["Bananen", "bananas", "Wie hoch war der Umsatz?", "FLUID MILK PRODUCTS", "x"]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_query_embedder("use-multilingual")


def entries(*names: str, kind: str = "category") -> list[Entry]:
    return [Entry(kind, name, name) for name in names]  # type: ignore[arg-type]  # kinds are checked by mypy elsewhere


# embedder


def test_vectors_have_length_one_and_bring_languages_together(embedder: Embedder) -> None:
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (5, 512)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8 > 0.5 > vectors[0] @ vectors[3]


def test_a_sentence_transformer_gives_the_same_vectors_as_the_light_way(embedder: Embedder) -> None:
    wrapped = open_embedder("use-multilingual")
    assert wrapped.name == embedder.name
    assert np.abs(wrapped.encode(TEXTS) - embedder.encode(TEXTS)).max() < 1e-6


def test_the_folder_of_another_sentence_transformers_model_works_by_the_same_setting(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "umsatz": 1, "revenue": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.array([[0.0, 0.0, 1.0], [3.0, 4.0, 0.0], [6.0, 8.0, 0.0]], dtype=np.float32)
    folder = tmp_path / "tiny"
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(str(folder))
    vectors = open_embedder(str(folder)).encode(["umsatz", "revenue", "?"])
    assert open_embedder(str(folder)).name == "tiny"
    assert np.allclose(vectors, [[0.6, 0.8, 0], [0.6, 0.8, 0], [0, 0, 1]])


@pytest.mark.parametrize("name", ["", "no-such-model", "sentence-transformers/all-MiniLM-L6-v2", "/tmp"])
def test_nothing_is_downloaded_for_a_name_that_is_no_folder(name: str) -> None:
    with pytest.raises(RetrievalError, match="MERCURIOS_EMBEDDER"):
        open_embedder(name)


def test_each_text_is_embedded_once_also_from_many_threads_and_memory_is_bounded() -> None:
    seen: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    loads: list[int] = []
    remembering = RememberingEmbedder("counted", lambda: loads.append(1) or encode, remembered=50)  # type: ignore[func-returns-value]
    assert not loads
    texts = [f"text {number % 20}" for number in range(100)]
    threads = [threading.Thread(target=remembering.encode, args=(texts,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert sorted(seen) == sorted(set(texts))
    remembering.encode([f"other {number}" for number in range(60)])
    remembering.encode(["text 0"])
    assert seen.count("text 0") == 2


# index


def test_an_index_comes_back_from_its_bytes_and_finds_by_meaning(embedder: Embedder) -> None:
    built = TenantIndex.build("north", entries("BANANAS", "COFFEE", "DOG FOODS", "FROZEN PIZZA"), embedder)
    body = built.to_bytes()
    opened = TenantIndex.open(body, "north", embedder)
    assert opened.entries == built.entries
    assert opened.to_bytes() == body
    best = opened.search("Kaffee", ("category",), limit=2)
    assert best[0].entry.key == "COFFEE"
    assert best[0].score > best[1].score
    assert opened.search("Kaffee", ("branch",)) == ()


def test_search_is_exact(embedder: Embedder) -> None:
    names = [f"{first} {second}" for first in ("red", "cold", "sweet", "old") for second in ("wine", "milk", "bread")]
    index = TenantIndex.build("north", [*entries(*names), *entries("red wine", kind="department")], embedder)
    query = embedder.encode(["rotwein"])[0]
    scores = embedder.encode([readable(name) for name in names]) @ query
    expected = [names[place] for place in np.argsort(-scores, kind="stable")[:5]]
    assert [hit.entry.key for hit in index.search("Rotwein", ("category",))] == expected


def test_an_index_opens_for_its_tenant_only(embedder: Embedder) -> None:
    north = TenantIndex.build("north", entries("TOYS"), embedder).to_bytes()
    with pytest.raises(RetrievalError, match="another tenant") as refused:
        TenantIndex.open(north, "south", embedder)
    assert "north" not in str(refused.value)


def test_an_index_opens_with_its_embedder_only(embedder: Embedder) -> None:
    body = TenantIndex.build("north", entries("TOYS"), embedder).to_bytes()
    other = RememberingEmbedder("other", lambda: lambda texts: np.ones((len(texts), 3), dtype=np.float32))
    with pytest.raises(RetrievalError, match=r"use-multilingual.*other"):
        TenantIndex.open(body, "north", other)
    shorter = RememberingEmbedder("use-multilingual", lambda: lambda texts: np.ones((len(texts), 3), dtype=np.float32))
    with pytest.raises(RetrievalError, match="3 dimensions, not 512"):
        TenantIndex.open(body, "north", shorter).search("Spielzeug", ("category",))


def test_damaged_bytes_are_an_error_and_no_index(embedder: Embedder) -> None:
    body = TenantIndex.build("north", entries("TOYS", "BACON"), embedder).to_bytes()
    fewer = TenantIndex.build("north", entries("TOYS"), embedder).to_bytes()
    swapped = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(body)) as left,
        zipfile.ZipFile(io.BytesIO(fewer)) as right,
        zipfile.ZipFile(swapped, "w") as archive,
    ):
        archive.writestr("index.json", left.read("index.json"))
        archive.writestr("entries.arrow", left.read("entries.arrow"))
        archive.writestr("vectors.faiss", right.read("vectors.faiss"))
    middle = bytearray(body)
    middle[len(body) // 2] ^= 0xFF
    for damaged in (b"", b"no zip", body[: len(body) // 2], bytes(middle), swapped.getvalue()):
        with pytest.raises(RetrievalError):
            TenantIndex.open(damaged, "north", embedder)
    with pytest.raises(RetrievalError, match="nothing to index"):
        TenantIndex.build("north", [], embedder)


@UNHURRIED
@given(st.lists(st.text(st.characters(categories=("L", "Nd"), include_characters=" -/&"), min_size=1), min_size=1))
def test_every_name_is_found_by_itself_in_any_case(names: list[str]) -> None:
    flat = RememberingEmbedder("flat", lambda: lambda texts: np.ones((len(texts), 2), dtype=np.float32))
    index = TenantIndex.build("north", entries(*dict.fromkeys(names)), flat)
    for name in names:
        if name_words(name):
            assert name in [entry.key for entry in index.named(name_words(name))]


# words


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Umsätze", "UMSAETZE"),
        ("Größe", "Groesse"),
        ("März", "Maerz"),
        ("März", "Marz"),
        ("Café", "cafe"),
        ("Ø", "o"),
        ("ÄPFEL", "Aepfel"),
    ],
)
def test_ways_to_write_a_word_are_one(left: str, right: str) -> None:
    assert skeleton(left) == skeleton(right)


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("banana", "bananas"),
        ("berry", "berries"),
        ("cookie", "cookies"),
        ("tomato", "tomatoes"),
        ("Filiale", "Filialen"),
        ("Hose", "Hosen"),
        ("Warengruppe", "Warengruppen"),
        ("egg", "eggs"),
    ],
)
def test_singular_and_plural_share_a_stem(one: str, many: str) -> None:
    assert singular(skeleton(one)) == singular(skeleton(many))


def slow_distance(left: str, right: str) -> int:
    if not left or not right:
        return len(left) + len(right)
    costs = [
        slow_distance(left[1:], right) + 1,
        slow_distance(left, right[1:]) + 1,
        slow_distance(left[1:], right[1:]) + (left[0] != right[0]),
    ]
    if len(left) > 1 and len(right) > 1 and left[0] == right[1] and left[1] == right[0]:
        costs.append(slow_distance(left[2:], right[2:]) + 1)
    return min(costs)


@UNHURRIED
@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(1, 3))
def test_edit_distance_agrees_with_its_definition(left: str, right: str, limit: int) -> None:
    assert edit_distance(left, right, limit) == min(slow_distance(left, right), limit + 1)
    assert edit_distance(left, right, limit) == edit_distance(right, left, limit)


# glossary and job


def test_the_glossary_names_and_defines_every_term_in_both_languages() -> None:
    glossary = load_glossary()
    for term in glossary.values():
        for locale in ("de", "en"):
            assert term.names[locale], term.key
            assert term.definition[locale].endswith("."), term.key
    answered = {term.metric for term in glossary.values() if term.available}
    assert {"revenue", "gross_profit", "discount_rate", "average_receipt", "stock_value"} <= answered
    assert {"stock_turnover", "sell_through", "gmroi", "open_to_buy", "like_for_like"} <= answered
    assert not glossary["kundenfrequenz"].available


def test_a_value_knows_what_holds_all_of_it() -> None:
    rows = [
        {"category": "COFFEE", "department": "GROCERY", "product_type": "GROUND"},
        {"category": "COFFEE SHOP", "department": "DELI", "product_type": "GROUND"},
        {"category": "COFFEE", "department": "GROCERY", "product_type": "BEANS"},
        {"category": "TEAS", "department": "GROCERY", "product_type": ""},
        {"category": "TEAS", "department": "GROCERY", "product_type": "(unknown)"},
    ]
    found = {entry.id: entry.within for entry in value_entries(rows)}
    assert found == {
        "department:DELI": (),
        "department:GROCERY": (),
        "category:COFFEE": ("department:GROCERY",),
        "category:COFFEE SHOP": ("department:DELI",),
        "category:TEAS": ("department:GROCERY",),
        "product_type:BEANS": ("category:COFFEE", "department:GROCERY"),
        "product_type:GROUND": (),
    }


class Semantics:
    """One metric; the index needs no more of the semantic layer than its catalog."""

    def catalog(self) -> tuple[Metric, ...]:
        texts = {"en": "Revenue", "de": "Umsatz"}
        return (Metric("revenue", texts, "currency", texts, ("branch", "category")),)


def release_tables(categories: dict[str, Sequence[str]]) -> dict[str, pa.Table]:
    tenants, articles, branches = [], [], []
    place = {"currency": "EUR", "time_zone": "Europe/Berlin", "locale": "de"}
    for number, (tenant, names) in enumerate(categories.items(), start=10):
        tenants.append({"tenant_id": tenant, "name": tenant, **place})
        branches.append({"tenant_id": tenant, "branch": number, "name": f"Filiale {number}", "is_active": True})
        for article, name in enumerate(names):
            words = {"label": name, "category": name, "department": "Mode", "product_type": f"Sorte {name}"}
            row = {"tenant_id": tenant, "article_number": article, "category_number": article, "is_merchandise": True}
            articles.append({**row, **words})
    rows = {"dim_tenants": tenants, "dim_articles": articles, "dim_branches": branches}
    return {name: pa.Table.from_pylist(found, schema=TABLES[name].schema) for name, found in rows.items()}


def test_the_job_indexes_each_tenants_own_words_and_nothing_else(tmp_path: Path, embedder: Embedder) -> None:
    lake = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/data")
    tables = release_tables({"north": ["Hosen", "Blusen", "(unknown)"], "south": ["Hosen", "Angelruten"]})
    release = lake.publish(tables, as_of=datetime(2026, 1, 2, tzinfo=UTC))
    indexes = {}
    for tenant in ("north", "south"):
        session = open_session(lake.reader(tenant, release))
        report, body = index_job(session, Semantics(), embedder)  # type: ignore[arg-type]  # a catalog is all it takes
        assert (report.tenant_id, report.release, report.dimension) == (tenant, release.id, 512)
        assert report.bytes == len(body)
        indexes[tenant] = TenantIndex.open(body, tenant, embedder)
        assert report.entries == len(indexes[tenant].entries)
    assert [entry.key for entry in indexes["north"].of_kind("category")] == ["Blusen", "Hosen"]
    assert [entry.key for entry in indexes["south"].of_kind("branch")] == ["11"]
    assert indexes["south"].named(name_words("Angelrute"))
    assert not indexes["north"].named(name_words("Angelrute"))
    assert "Angelruten" not in {hit.entry.key for hit in indexes["north"].search("Angelruten", ("category",), limit=99)}
    assert {"metric", "glossary", "department", "product_type"} <= {entry.kind for entry in indexes["north"].entries}
