"""The specification of order proposals, `models/replenishment.yaml`: what, on which terms, how it is forecast.

spec = ReplenishmentSpec.parse(Path("models/replenishment.yaml").read_text())
spec.stock.default_lead_days
"""

from typing import Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from mercurios.errors import ConfigError
from mercurios.forecasting import LevelSpec
from mercurios.replenishment.settings import StockSettings


class Selection(BaseModel, frozen=True, extra="forbid"):
    """Which articles are looked at.

    articles: at most so many, those with the highest revenue of 91 days. sold_within_weeks: only what was sold lately.
    branch_weeks_sold: in how many of the last 26 weeks a branch has to have sold an article to get a line of its own.
    """

    articles: int = Field(gt=0)
    sold_within_weeks: int = Field(gt=0, le=13)
    branch_weeks_sold: int = Field(gt=0, le=26)


class Terms(BaseModel, frozen=True, extra="forbid"):
    """What no master record tells: rates of the unit cost a year, units of a pack and of the smallest order."""

    holding_rate: float = Field(ge=0, allow_inf_nan=False)
    obsolescence_rate: float = Field(ge=0, allow_inf_nan=False)
    pack_size: float = Field(gt=0, allow_inf_nan=False)
    minimum_order: float = Field(ge=0, allow_inf_nan=False)


class ReplenishmentSpec(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides proposals besides the merchant's own rows; forecasts are in units."""

    selection: Selection
    terms: Terms
    stock: StockSettings
    forecast: LevelSpec

    @model_validator(mode="after")
    def _one_grain(self) -> Self:
        if self.stock.grain is not self.forecast.grain:
            raise ValueError(
                f"stock is by {self.stock.grain}, the forecast by {self.forecast.grain}; expected one grain"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> "ReplenishmentSpec":
        """Read YAML; raises ConfigError naming the field that is wrong."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            raise ConfigError(f"the specification of order proposals is wrong: {error}") from error
