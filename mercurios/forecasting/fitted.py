"""A level ready to forecast: champion, history and intervals; written to a folder and read back.

    fitted = FittedLevel((fit_part(panel, trial, "AutoETS"), fit_part(tail, tail_trial, "RecentMean")))
    fitted.save(folder)
    FittedLevel.load(folder).forecast(horizon=28)

What is kept is the history and the method with its hyperparameters, not weights: fitting is a pure function of both
(seeds included), takes seconds, and gives the published forecast again to the last digit.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mercurios.errors import ModelError
from mercurios.forecasting.backtest import LONGEST, Backtest
from mercurios.forecasting.candidates import Candidate, build, describe
from mercurios.forecasting.holidays import near_holiday
from mercurios.forecasting.intervals import BOUNDS, Bands, Quantiles, calibrate, spreads
from mercurios.forecasting.series import Grain, Panel

if TYPE_CHECKING:
    import pandas as pd

LOADER = "mercurios.forecasting.fitted"
_COLUMNS = ("unique_id", "ds", "mean", *BOUNDS, "candidate")


@dataclass(frozen=True)
class Part:
    """Series that one method forecasts."""

    panel: Panel
    candidate: Candidate
    bands: Bands

    def forecast(self, horizon: int) -> pl.DataFrame:
        """The next `horizon` periods of every series, in cents; zero on days the tenant is not expected to open."""
        made = self.candidate.forecast(self.panel, horizon)
        made = made.with_columns(near_holiday=near_holiday(self.panel, made["ds"]))
        forecast = self.bands.around(made, spreads(self.panel))
        is_open = self.panel.opens(forecast["ds"]) if self.panel.grain is Grain.DAY else pl.lit(True)
        values = [pl.when(is_open).then(pl.col(name).round(2)).otherwise(0.0).alias(name) for name in ("mean", *BOUNDS)]
        return forecast.with_columns(*values, candidate=pl.lit(self.candidate.name)).select(_COLUMNS)


@dataclass(frozen=True)
class FittedLevel:
    """All forecast series of a level."""

    parts: tuple[Part, ...]

    def forecast(self, horizon: int) -> pl.DataFrame:
        """One row per (unique_id, ds), sorted: mean, lo80, hi80, lo95, hi95 in money, and the candidate's name."""
        if not 1 <= horizon <= LONGEST:
            raise ModelError(f"horizon {horizon}: expected 1 to {LONGEST} periods")
        return pl.concat([part.forecast(horizon) for part in self.parts]).sort("unique_id", "ds")

    def save(self, folder: Path) -> None:
        """Write the level into an empty folder: JSON and Parquet, nothing that can run."""
        for number, part in enumerate(self.parts):
            for name, frame in _frames(part.panel).items():
                frame.write_parquet(folder / f"{name}-{number}.parquet")
        parts = [_described(part) for part in self.parts]
        (folder / "level.json").write_text(json.dumps({"parts": parts}, indent=2))

    @classmethod
    def load(cls, folder: Path) -> "FittedLevel":
        """Read a level that `save` wrote; raises ModelError when the folder holds none."""
        path = folder / "level.json"
        if not path.is_file():
            raise ModelError(f"{folder} holds no level.json; expected a folder written by FittedLevel.save")
        parts = json.loads(path.read_text())["parts"]
        return cls(tuple(_part(folder, number, plain) for number, plain in enumerate(parts)))


def fit_part(panel: Panel, trial: Backtest, name: str, fallback: Bands | None = None) -> Part:
    """Bind one candidate of the backtest to the full panel, with intervals from its errors in every window.

    fallback: intervals when the backtest saw no error at all; else they have no width, as where nothing ever moved.
    """
    bands = (
        calibrate(trial.scored_by(name), spreads(panel)) or fallback or Bands(Quantiles(0.0, 0.0, 0.0, 0.0, errors=0))
    )
    return Part(panel, trial.candidates[name], bands)


class _Served:
    """What MLflow calls: `predict` takes one row with the horizon in periods."""

    def __init__(self, level: FittedLevel) -> None:
        self._level = level

    def predict(self, asked: "pd.DataFrame") -> "pd.DataFrame":
        """The forecast as a frame of unique_id, ds, mean, bounds and candidate."""
        if "horizon" not in asked.columns or len(asked) != 1:
            raise ModelError(f"expected one row with a column `horizon`, got {len(asked)} of {list(asked.columns)}")
        return self._level.forecast(int(asked["horizon"].iloc[0])).to_pandas()


def _load_pyfunc(path: str) -> _Served:
    """Where MLflow's python_function flavour enters; `path` is the folder `FittedLevel.save` wrote."""
    return _Served(FittedLevel.load(Path(path)))


def _frames(panel: Panel) -> dict[str, pl.DataFrame]:
    frames = {"rows": panel.rows, "calendar": panel.calendar, "holidays": panel.holidays}
    frames |= {name: frame for name in ("plan", "peers", "factors") if (frame := getattr(panel, name)) is not None}
    if panel.days is not None:
        frames |= {"days": panel.days.rows, "days-calendar": panel.days.calendar}
    return frames


def _described(part: Part) -> dict[str, Any]:
    days = part.panel.days
    return {
        "candidate": describe(part.candidate),
        "bands": asdict(part.bands),
        "grain": str(part.panel.grain),
        "closed_weekdays": list(part.panel.closed_weekdays),
        "closed_weekdays_of_days": list(days.closed_weekdays) if days else [],
    }


def _part(folder: Path, number: int, plain: dict[str, Any]) -> Part:
    kept = {path.stem.removesuffix(f"-{number}"): pl.read_parquet(path) for path in folder.glob(f"*-{number}.parquet")}
    holidays = kept["holidays"]
    closed = tuple(plain["closed_weekdays_of_days"])
    days = Panel(kept["days"], kept["days-calendar"], Grain.DAY, closed, holidays) if "days" in kept else None
    closed = tuple(plain["closed_weekdays"])
    panel = Panel(kept["rows"], kept["calendar"], Grain(plain["grain"]), closed, holidays, days)
    panel = replace(panel, plan=kept.get("plan"), peers=kept.get("peers"), factors=kept.get("factors"))
    return Part(panel, build(**plain["candidate"]), _bands(plain["bands"]))


def _bands(plain: dict[str, Any]) -> Bands:
    by_class = {name: Quantiles(**quantiles) for name, quantiles in plain["by_class"].items()}
    return Bands(Quantiles(**plain["everybody"]), by_class, plain["holiday"])
