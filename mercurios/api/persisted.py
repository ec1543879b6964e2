"""Documents that are known by the SHA-256 of their text, so that a program sends 71 characters in place of them.

    known = KnownDocuments.read(folder)
    known.source("sha256:9f86d0…")          # the document
    known.permit(source)                    # with an allow-list: raises DocumentNotAllowed for any other

Those of the dashboard are always known. The form is that of GraphQL over HTTP: `{"documentId": "sha256:…"}`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from mercurios.errors import BadRequest, ConfigError, DocumentNotAllowed


def document_id(source: str) -> str:
    """The id of a document: of its very text, blanks and comments included."""
    return f"sha256:{hashlib.sha256(source.encode('utf-8', 'replace')).hexdigest()}"


class KnownDocuments:
    """Documents by id; is_only: nothing else is answered."""

    def __init__(self, sources: Iterable[str], *, is_only: bool = False) -> None:
        self._sources = {document_id(source): source for source in sources}
        self._texts = frozenset(self._sources.values())
        self._is_only = is_only

    @classmethod
    def read(cls, allow_list: Path | None = None) -> "KnownDocuments":
        """The dashboard's documents, and with an allow-list those of its folder; raises ConfigError without any."""
        sources = [
            one.read_text(encoding="utf-8")
            for one in files("mercurios.api.page").joinpath("operations").iterdir()
            if one.name.endswith(".graphql")
        ]
        if allow_list is not None:
            named = sorted(allow_list.glob("*.graphql")) if allow_list.is_dir() else []
            if not named:
                raise ConfigError(f"allow-list {allow_list}: expected a folder with documents named *.graphql")
            sources += [path.read_text(encoding="utf-8") for path in named]
        return cls(sources, is_only=allow_list is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def source(self, name: str) -> str:
        """The document of that id; raises BadRequest for one that is not known."""
        source = self._sources.get(name)
        if source is None:
            raise BadRequest(f"no document {name[:80]!r} is known here; send its text as `query`, or have it added")
        return source

    def permit(self, source: str) -> None:
        """Raise DocumentNotAllowed where only known documents are answered and this is none."""
        if self._is_only and source not in self._texts:
            raise DocumentNotAllowed(
                f"only listed documents are answered here, and {document_id(source)} is none; have it added to the list"
            )
