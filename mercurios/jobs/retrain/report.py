"""What retraining tells: scores beside their baselines, and the tables to publish."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from mercurios.tables import TABLES

_FORECAST = TABLES["forecasts"].schema
_ROLE, _RELEASE = pa.field("role", pa.string(), nullable=False), pa.field("release", pa.string(), nullable=False)
KEPT = pa.schema(
    [
        *(_FORECAST.field(name) for name in ("tenant_id", "level", "key", "ds", "cutoff")),
        _ROLE,
        *(_FORECAST.field(name) for name in ("model", "model_version")),
        _RELEASE,
        *(_FORECAST.field(name) for name in ("mean", "lo80", "hi80", "lo95", "hi95")),
    ]
)
"""Forecasts that are kept to be scored later: those of the served table, of the champion and of who shadows it."""


@dataclass(frozen=True)
class LevelScore:
    """The champion of one forecast level over the backtest, beside the baseline; fractions.

    series: modelled ones; tail: those with too little history for the champion; dormant: keys without a forecast.
    share_modelled: revenue of the modelled series among all that are forecast.
    """

    level: str
    model: str
    version: int
    wape: float
    baseline: str
    baseline_wape: float
    bias: float
    coverage80: float
    coverage95: float
    series: int
    tail: int
    dormant: tuple[str, ...]
    share_modelled: float
    reason: str
    seconds: float


@dataclass(frozen=True)
class RecommenderScore:
    """The champion recommender in the last-basket test, beside the baseline; fractions, at `k` articles."""

    model: str
    version: int
    k: int
    ndcg: float
    recall: float
    baseline: str
    baseline_ndcg: float
    baseline_recall: float
    customers: int
    reason: str
    seconds: float


@dataclass(frozen=True)
class RetrainReport:
    """One tenant's retraining.

    tables: shaped as `mercurios.tables` says. kept: shaped as KEPT, one row per level × key × ds × role (champion or
    challenger); the champion's are those of the served table. skipped: what was not trained, and why.
    """

    tenant_id: str
    release: str
    forecast: tuple[LevelScore, ...]
    recommender: RecommenderScore | None
    skipped: Mapping[str, str]
    tables: Mapping[str, pa.Table]
    kept: pa.Table
    forecast_png: bytes
    seconds: float

    def score_rows(self) -> list[dict[str, object]]:
        """One row per trained model, for a table: metric of the champion and of the baseline, rounded."""
        rows: list[dict[str, object]] = [
            {
                "tenant": self.tenant_id,
                "what": f"forecast {score.level}",
                "champion": score.model,
                "version": score.version,
                "metric": "WAPE",
                "value": round(score.wape, 4),
                "baseline": f"{score.baseline} {score.baseline_wape:.4f}",
                "coverage80": round(score.coverage80, 3),
                "reason": score.reason,
            }
            for score in self.forecast
        ]
        if self.recommender:
            best = self.recommender
            rows.append(
                {
                    "tenant": self.tenant_id,
                    "what": "recommender",
                    "champion": best.model,
                    "version": best.version,
                    "metric": f"nDCG@{best.k}",
                    "value": round(best.ndcg, 4),
                    "baseline": f"{best.baseline} {best.baseline_ndcg:.4f}",
                    "coverage80": None,
                    "reason": best.reason,
                }
            )
        return rows
