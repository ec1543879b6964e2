"""Index: one tenant's words with their vectors, for questions to be read with.

    report, body = index(session, semantics, embedder)
    report.entries

Product types, categories, departments and branches come from the session's release, metrics from the semantic layer,
terms from the glossary.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from mercurios.metrics import Metric, SemanticLayer
from mercurios.progress import track
from mercurios.retrieval import Embedder, Entry, Kind, TenantIndex, Term, load_glossary
from mercurios.serving import Session

log = structlog.get_logger(__name__)

UNKNOWN = "(unknown)"
"""How the marts name what no master record names; nobody asks for it."""
_LEVELS: dict[Kind, tuple[Kind, ...]] = {
    "department": (),
    "category": ("department",),
    "product_type": ("category", "department"),
}
_VALUES = """
    select distinct category, department, product_type
    from marts.dim_articles
    where category <> ?
    order by all
"""
_BRANCHES = "select branch, name from marts.dim_branches order by branch"


@dataclass(frozen=True)
class IndexReport:
    """What was indexed for one tenant; `dimension` is the length of a vector."""

    tenant_id: str
    release: str
    embedder: str
    entries: int
    dimension: int
    bytes: int
    seconds: float


def index(session: Session, semantics: SemanticLayer, embedder: Embedder) -> tuple[IndexReport, bytes]:
    """Embed the words of the session's tenant.

    Returns the report and the index as bytes, which `TenantIndex.open` reads for this tenant and this embedder only.
    Raises RetrievalError when the release holds nothing to index.
    """
    started = time.perf_counter()
    entries = tuple(_entries(session, semantics))
    with track(f"index {session.tenant_id}", unit="names", total=len(entries)) as advance:
        built = TenantIndex.build(session.tenant_id, entries, embedder, advance=advance)
    body = built.to_bytes()
    seconds = time.perf_counter() - started
    report = IndexReport(
        session.tenant_id, session.release.id, embedder.name, len(entries), built.dimension, len(body), seconds
    )
    log.info("index", tenant=session.tenant_id, entries=len(entries), bytes=len(body), seconds=round(seconds, 1))
    return report, body


def _entries(session: Session, semantics: SemanticLayer) -> Iterator[Entry]:
    yield from value_entries(session.query(_VALUES, (UNKNOWN,)).to_pylist())
    for branch in session.query(_BRANCHES).to_pylist():
        yield Entry("branch", str(branch["branch"]), str(branch["name"] or branch["branch"]))
    for metric in semantics.catalog():
        yield from metric_entries(metric)
    for term in load_glossary().values():
        yield from term_entries(term)


def value_entries(rows: list[dict[str, str]]) -> Iterator[Entry]:
    """Departments, categories and product types, each with the broader values that hold all of it.

    rows: the distinct (category, department, product_type) of a tenant's articles.
    """
    for kind, broader in _LEVELS.items():
        found: dict[str, dict[str, set[str]]] = {}
        for row in rows:
            if row[kind] and row[kind] != UNKNOWN:
                holders = found.setdefault(row[kind], {level: set() for level in broader})
                for level in broader:
                    holders[level].add(row[level])
        for name, holders in sorted(found.items()):
            within = tuple(f"{level}:{next(iter(held))}" for level, held in holders.items() if len(held) == 1)
            yield Entry(kind, name, name, within=within)


def metric_entries(metric: Metric) -> Iterator[Entry]:
    """A metric by its label and by its description, in both languages."""
    for locale, label in metric.label.items():
        yield Entry("metric", metric.name, label, locale)
    for locale, description in metric.description.items():
        yield Entry("metric", metric.name, description, locale)


def term_entries(term: Term) -> Iterator[Entry]:
    """A glossary term by each of its names; one that a metric answers leads to the metric."""
    for locale, names in term.names.items():
        for name in names:
            if term.metric:
                yield Entry("metric", term.metric, name, locale)
            yield Entry("glossary", term.key, name, locale)
