"""Where per-series methods run: in this process, in several processes of this machine, or on Ray.

    with on(Workers.parse("all")):
        AutoETS(season_length=7).forecast(panel, horizon=28)

A method that looks at one series at a time gives the same forecast wherever it runs, so where it runs is no part of a
candidate. Processes are started afresh (loky) and never forked: forked out of a process that also holds the threads of
DuckDB and Prefect they can hang.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import polars as pl

from mercurios.errors import ConfigError

if TYPE_CHECKING:
    from statsforecast.models import _TS

# Starting processes and their libraries takes seconds, so few series stay where they are.
_FEW = 200
_PARTS_PER_WORKER = 4


@dataclass(frozen=True)
class Workers:
    """How many at a time, and whether Ray places them; a count of -1 is every core there is."""

    count: int = 1
    ray: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "1", "4", "all" or "ray"; raises ConfigError for anything else."""
        if text in ("all", "ray"):
            return cls(count=-1, ray=text == "ray")
        if text.isascii() and text.isdecimal() and int(text) > 0:
            return cls(count=int(text))
        raise ConfigError(f'forecast workers {text!r}: expected a number from 1 on, "all" or "ray"')


_ONE = Workers()
_workers: ContextVar[Workers] = ContextVar("forecast_workers", default=_ONE)


@contextmanager
def on(workers: Workers) -> Iterator[None]:
    """Run the statistical methods inside the block on these workers. Threads started inside begin with one worker."""
    token = _workers.set(workers)
    try:
        yield
    finally:
        _workers.reset(token)


def forecast_each(method: "_TS", rows: pl.DataFrame, *, every: str, horizon: int) -> pl.DataFrame:
    """Fit the method on each series alone and forecast its next `horizon` periods; where it fails, the last value.

    rows: unique_id, ds, y; every: the period as polars writes it. Returns unique_id, ds, mean, sorted.
    """
    workers = _workers.get()
    series = rows.select("unique_id", "ds", "y").sort("unique_id", "ds")
    if series.is_empty():
        return series.rename({"y": "mean"})
    if workers == _ONE or series["unique_id"].n_unique() <= _FEW:
        return _forecast(method, series, every, horizon)
    run = _on_ray if workers.ray else _on_processes
    return pl.concat(run(workers.count, method, series, every, horizon)).sort("unique_id", "ds")


def _on_processes(count: int, method: "_TS", series: pl.DataFrame, every: str, horizon: int) -> list[pl.DataFrame]:
    from joblib import Parallel, delayed, effective_n_jobs

    parts = _parts(series, effective_n_jobs(count))
    run = Parallel(n_jobs=count, backend="loky")
    done: list[pl.DataFrame] = run(delayed(_forecast)(method, part, every, horizon) for part in parts)
    return done


def _on_ray(count: int, method: "_TS", series: pl.DataFrame, every: str, horizon: int) -> list[pl.DataFrame]:
    import ray
    from ray._common.usage.usage_lib import set_usage_stats_enabled_via_env_var

    if not ray.is_initialized():  # joins the cluster that RAY_ADDRESS names, or starts one here that reports to nobody
        set_usage_stats_enabled_via_env_var(False)
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    parts = _parts(series, count if count > 0 else int(ray.cluster_resources()["CPU"]))  # type: ignore[no-untyped-call]
    task = ray.remote(_forecast)
    done: list[pl.DataFrame] = ray.get([task.remote(method, part, every, horizon) for part in parts])
    return done


def _parts(series: pl.DataFrame, workers: int) -> list[pl.DataFrame]:
    # By turns: neighbours are often alike, and the slow ones would end up in one part.
    part = (pl.col("unique_id").rle_id() % (_PARTS_PER_WORKER * workers)).alias("part")
    return series.with_columns(part).partition_by("part", include_key=False, maintain_order=True)


def _forecast(method: "_TS", series: pl.DataFrame, every: str, horizon: int) -> pl.DataFrame:
    from statsforecast import StatsForecast
    from statsforecast.models import Naive

    engine = StatsForecast(models=[method], freq=every, n_jobs=1, fallback_model=Naive())
    forecast: pl.DataFrame = engine.forecast(df=series, h=horizon)
    return forecast.rename({repr(method): "mean"}).select("unique_id", "ds", pl.col("mean").cast(pl.Float64))
