"""Retrieval: the words of one merchant, found by name or by meaning, in German and English.

    embedder = open_embedder("use-multilingual")
    index = TenantIndex.build("north", entries, embedder)
    index.search("Bananen", kinds=("product_type",))[0].entry.key      # 'BANANAS'

Data in, data out: nothing here opens a store.
"""

from mercurios.retrieval.embedder import Embedder, open_embedder, open_query_embedder
from mercurios.retrieval.glossary import Term, load_glossary
from mercurios.retrieval.index import Entry, Hit, Kind, TenantIndex

__all__ = [
    "Embedder",
    "Entry",
    "Hit",
    "Kind",
    "TenantIndex",
    "Term",
    "load_glossary",
    "open_embedder",
    "open_query_embedder",
]
