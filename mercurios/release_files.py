"""What travels with a release beside its tables: metric definitions, and one FAISS index per tenant.

    files = ReleaseFiles(lake, open_query_embedder("use-multilingual"))
    files.semantics(session.release), files.index(session)

Each is read and parsed once: many releases carry the same definitions over.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from mercurios.lake import Lake, Release
from mercurios.metrics import SemanticLayer
from mercurios.retrieval import Embedder, TenantIndex
from mercurios.serving import Session

MANIFEST = "semantic_manifest.json"
_KEPT = 64

T = TypeVar("T")


def index_name(tenant_id: str) -> str:
    """Name of a tenant's index among the files of a release."""
    return f"index/{tenant_id}.faiss"


class ReleaseFiles:
    """The parsed files of a lake's releases. Safe to use from many threads."""

    def __init__(self, lake: Lake, embedder: Embedder) -> None:
        self._lake = lake
        self._embedder = embedder
        self._lock = threading.Lock()
        self._parsed: OrderedDict[tuple[str, str], object] = OrderedDict()
        self._making: dict[tuple[str, str], threading.Lock] = {}

    def semantics(self, release: Release) -> SemanticLayer:
        """The metric definitions of a release; equal definitions are parsed once, whatever release they came with."""
        body = self._once("text", release.files.get(MANIFEST, ""), lambda: self._lake.read_file(release, MANIFEST))
        return self._once("layer", hashlib.sha256(body).hexdigest(), lambda: SemanticLayer.parse(body))

    def index(self, session: Session) -> TenantIndex:
        """The index of the session's tenant; raises LakeError without one, RetrievalError when it does not fit."""
        name = index_name(session.tenant_id)

        def read() -> TenantIndex:
            return TenantIndex.open(self._lake.read_file(session.release, name), session.tenant_id, self._embedder)

        return self._once("index", session.release.files.get(name, ""), read)

    def _once(self, kind: str, place: str, make: Callable[[], T]) -> T:
        key = (kind, place)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._parsed:
                    self._parsed.move_to_end(key)
                    return cast(T, self._parsed[key])
            made = make()
            with self._lock:
                self._parsed[key] = made
                while len(self._parsed) > _KEPT:
                    self._making.pop(self._parsed.popitem(last=False)[0], None)
            return made
