"""The contract of all recommenders.

    model = PersonalTop().fit(purchases)
    model.top(pl.Series("customer_number", [4, 7]), 10)   # customer_number, article_number, score, rank

A `Recommender` is its hyperparameters and nothing else: frozen, comparable, written to and read from plain data with
`describe` and `build`. `fit` gives a `Fitted`, whose state is frames and arrays, saved as Parquet and npz.
"""

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ValidationError

from mercurios.errors import ConfigError, ModelError
from mercurios.recommendation.purchases import Purchases

_MODELS: dict[str, type["Recommender"]] = {}
_STATES: dict[str, type["Fitted"]] = {}


class Fitted(ABC):
    """A fitted model. Frames of scores hold customer_number, article_number, score; a higher score is better."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _STATES[cls.__name__] = cls

    @abstractmethod
    def best(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """At least the `limit` best articles of every customer, if the model has that many; scores, in no order."""

    @abstractmethod
    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Add the score of each (customer_number, article_number); zero for what the model does not know."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the state into an empty folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> "Fitted":
        """Read a state that `save` wrote."""

    def top(self, customers: pl.Series, limit: int) -> pl.DataFrame:
        """The best articles of every customer: customer_number, rank (from 1), article_number, score; sorted.

        A customer gets fewer than `limit` where the model knows no more. Equal scores: the lower article number first.
        """
        if limit < 1:
            raise ModelError(f"limit {limit}: expected at least 1 article")
        return (
            self.best(customers, limit)
            .sort(["customer_number", "score", "article_number"], descending=[False, True, False])
            .with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("customer_number"))
            .filter(pl.col("rank") <= limit)
            .select("customer_number", "rank", "article_number", "score")
        )


class Recommender(BaseModel, ABC, frozen=True, extra="forbid"):
    """A model with its hyperparameters. Subclasses are known by their class name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _MODELS[cls.__name__] = cls

    @property
    def name(self) -> str:
        """What the model is called in specifications, scores and tables."""
        return type(self).__name__

    @abstractmethod
    def fit(self, purchases: Purchases) -> Fitted:
        """Learn from purchases; deterministic."""


def build(name: str, params: Mapping[str, Any]) -> Recommender:
    """Make a recommender from plain data; raises ConfigError naming the model or the field that is wrong."""
    _import_models()
    if name not in _MODELS:
        raise ConfigError(f"unknown recommender {name!r}; known: {', '.join(sorted(_MODELS))}")
    try:
        return _MODELS[name](**params)
    except ValidationError as error:
        raise ConfigError(f"recommender {name}: {error}") from error


def describe(recommender: Recommender) -> dict[str, Any]:
    """The recommender as plain data, such that build(**describe(r)) == r."""
    return {"name": recommender.name, "params": recommender.model_dump(mode="json")}


def save_fitted(fitted: Fitted, folder: Path) -> None:
    """Write a fitted model and what kind it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text(json.dumps({"state": type(fitted).__name__}))
    fitted.save(folder)


def load_fitted(folder: Path) -> Fitted:
    """Read what `save_fitted` wrote; raises ModelError when the folder holds no such model."""
    _import_models()
    path = folder / "state.json"
    if not path.is_file():
        raise ModelError(f"{folder} holds no state.json; expected a folder written by save_fitted")
    return _STATES[json.loads(path.read_text())["state"]].load(folder)


def _import_models() -> None:
    # A model is known by name once its module is imported.
    for module in ("blends", "factors", "frequency"):
        importlib.import_module(f"mercurios.recommendation.{module}")
