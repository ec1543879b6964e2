"""The specification of the forecasts, `models/forecast.yaml`: levels, horizons, folds, candidates.

spec = ForecastSpec.parse(Path("models/forecast.yaml").read_text())
spec.levels["branch"].horizon
"""

from collections.abc import Mapping
from typing import Any, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from mercurios.errors import ConfigError
from mercurios.forecasting.backtest import Windows
from mercurios.forecasting.candidates import Candidate, build
from mercurios.forecasting.series import Grain, Rules


class LevelSpec(BaseModel, frozen=True, extra="forbid"):
    """One level; horizon and history in periods of its grain.

    calibration: windows before the scored ones that the intervals learn from, too.
    """

    grain: Grain
    horizon: int = Field(gt=0)
    folds: int = Field(ge=2)
    calibration: int = Field(default=0, ge=0)
    min_periods_sold: int
    active_periods: int = Field(gt=0)
    tail_periods: int = Field(gt=0)
    baseline: str
    tail: str
    candidates: Mapping[str, Candidate]

    @field_validator("candidates", mode="before")
    @classmethod
    def _build(cls, plain: object) -> object:
        if not isinstance(plain, Mapping):
            return plain
        built: dict[str, Candidate] = {}
        for name, params in plain.items():  # a method that stands there twice says `method` under a name of its own
            told = dict(params or {})
            built[name] = build(str(told.pop("method", name)), _resolved(told, built))
        return built

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = ", ".join(self.candidates)
        for role in (self.baseline, self.tail):
            if role not in self.candidates:
                raise ValueError(f"baseline and tail must be among the candidates {known}, got {role}")
        if self.min_periods_sold < self.horizon * (self.folds + 1):
            raise ValueError(
                f"min_periods_sold is {self.min_periods_sold}, expected at least horizon * (folds + 1) = "
                f"{self.horizon * (self.folds + 1)}, or the backtest has nothing to learn from"
            )
        return self

    @property
    def windows(self) -> Windows:
        """What the backtest scores."""
        return Windows(self.horizon, self.folds, self.calibration)

    @property
    def rules(self) -> Rules:
        """Which series are modelled, tail or dormant."""
        return Rules(self.grain, self.min_periods_sold, self.active_periods, self.tail_periods)


class ForecastSpec(BaseModel, frozen=True, extra="forbid"):
    """All levels by name."""

    levels: Mapping[str, LevelSpec]

    @classmethod
    def parse(cls, text: str) -> "ForecastSpec":
        """Read YAML; raises ConfigError naming the field that is wrong."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            raise ConfigError(f"the forecast specification is wrong: {error}") from error


def _resolved(params: Mapping[str, Any], built: Mapping[str, Candidate]) -> Mapping[str, Any]:
    # An ensemble names its members by what stands above it in the same level.
    if "of" in params:
        names = params["of"]
        missing = [name for name in names if name not in built]
        if missing:
            raise ConfigError(f"an ensemble of {', '.join(missing)}, which the level does not list above it")
        rest = {key: value for key, value in params.items() if key != "of"}
        return {**rest, "members": tuple(built[name] for name in names)}
    return params
