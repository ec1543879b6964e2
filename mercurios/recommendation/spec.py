"""The specification of the recommenders, `models/recommender.yaml`: candidates and how they are judged.

spec = RecommenderSpec.parse(Path("models/recommender.yaml").read_text())
spec.articles_per_customer
"""

from collections.abc import Mapping
from typing import Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from mercurios.errors import ConfigError
from mercurios.recommendation.contract import Recommender, build


class RecommenderSpec(BaseModel, frozen=True, extra="forbid"):
    """k: how many articles the test looks at; articles_per_customer: how many are published."""

    k: int = Field(gt=0)
    articles_per_customer: int = Field(gt=0)
    baseline: str
    candidates: Mapping[str, Recommender]

    @field_validator("candidates", mode="before")
    @classmethod
    def _build(cls, plain: object) -> object:
        if not isinstance(plain, Mapping):
            return plain
        return {name: build(name, params or {}) for name, params in plain.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.baseline not in self.candidates:
            known = ", ".join(self.candidates)
            raise ValueError(f"the baseline must be among the candidates {known}, got {self.baseline}")
        return self

    @classmethod
    def parse(cls, text: str) -> "RecommenderSpec":
        """Read YAML; raises ConfigError naming the field that is wrong."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            raise ConfigError(f"the recommender specification is wrong: {error}") from error
