"""The model card of one merchant's forecasts, as retraining found them: Markdown.

    card(report, described=Path("models/forecast.md").read_text())

What the model says and how it is made stands in models/forecast.md; the figures there are those of the demonstration,
and give way to the merchant's own, from the rows of `forecast_backtest`.
"""

import polars as pl

from mercurios.forecasting.backtest import ALL_CLASSES
from mercurios.jobs.retrain.report import LevelScore, RetrainReport

_MEASURED = "## Measured"
_MEASURES = ("wape", "skill", "p_value", "bias", "rmsse", "scaled_quantile_loss", "coverage80", "coverage95")
_MEANING = """\
Rolling windows that end with the data. Fractions, but rmsse and scaled_quantile_loss, which are scaled by what a season
differs from the next. skill: part by which the WAPE is below the baseline's; p_value: of so large an advantage over the
baseline if there were none (Diebold-Mariano)."""


def card(report: RetrainReport, *, described: str) -> str:
    """What the model is, then every level: who is champion and why, all methods, and the champion by demand class."""
    rows = pl.DataFrame(report.tables["forecast_backtest"])
    parts = [described.partition(_MEASURED)[0].rstrip(), f"{_MEASURED}: {report.tenant_id}, {report.release}", _MEANING]
    parts += [_level(score, rows.filter(level=score.level)) for score in report.forecast]
    parts += [f"- {name}: not trained, {why}" for name, why in report.skipped.items()]
    if report.alone:
        parts.append(f"Daily levels are served alone: {report.alone}.")
    return "\n\n".join(parts) + "\n"


def _level(score: LevelScore, rows: pl.DataFrame) -> str:
    methods = rows.filter(demand_class=ALL_CLASSES).sort("wape", "method").select("method", "role", *_MEASURES)
    of_champion = rows.filter(pl.col("role") == "champion", pl.col("demand_class") != ALL_CLASSES)
    classes = of_champion.sort("demand_class").select("demand_class", "observations", *_MEASURES)
    counts = f"{score.series} modelled, {score.tail} in the tail, {len(score.dormant)} dormant"
    told = f"### {score.level}\n\nVersion {score.version}: {score.reason}. Series: {counts}."
    return "\n\n".join([told, _table(methods), "The champion by demand class:", _table(classes)])


def _table(rows: pl.DataFrame) -> str:
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=-1,
        fmt_str_lengths=100,
        float_precision=4,
    ):
        return str(rows)
