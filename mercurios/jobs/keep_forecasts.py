"""Keep forecasts: what was predicted stays in the warehouse, to be scored when the truth has come.

    keep_forecasts(warehouse, report.kept)      # 784, the rows that are new

dbt holds the kept forecasts against what was sold then, in `mart_forecast_accuracy`.
"""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa
import structlog

from mercurios.errors import ModelError
from mercurios.registry import CHALLENGER, CHAMPION
from mercurios.warehouse import Warehouse, table_spec

log = structlog.get_logger(__name__)

_NUMBERS = ("mean", "lo80", "hi80", "lo95", "hi95")
KEPT_FORECASTS = table_spec(
    "ops.kept_forecasts",
    "level key ds cutoff role model_version",
    {
        "level": pa.string(),
        "key": pa.string(),
        "ds": pa.date32(),
        "cutoff": pa.date32(),
        "role": pa.string(),
        "model": pa.string(),
        "model_version": pa.string(),
        "release": pa.string(),
        **dict.fromkeys(_NUMBERS, pa.float64()),
    },
)
"""One row a period that a model version predicted, as champion or challenger, from one cutoff; never changed.

ds: first day of the period. release: the one it was made from. The numbers are gross revenue in the tenant's currency.
"""


def keep_forecasts(warehouse: Warehouse, kept: pa.Table) -> int:
    """Append forecasts (columns of KEPT_FORECASTS, any number of tenants) and return how many are new.

    A forecast that is there stays as it was: a run that is repeated keeps nothing twice, and none can be bettered when
    the truth is known. Raises, before anything is written, ModelError for one that cannot be scored, and
    WarehouseError for other columns or a key that comes twice.
    """
    rows = pl.DataFrame(kept)
    _check(rows)
    warehouse.ensure(KEPT_FORECASTS)
    added: Mapping[str, int] = {
        str(tenant_id): warehouse.add(KEPT_FORECASTS, str(tenant_id), own.drop("tenant_id").to_arrow())
        for (tenant_id,), own in rows.partition_by("tenant_id", as_dict=True).items()
    }
    log.info("keep_forecasts", forecasts=rows.height, added=added)
    return sum(added.values())


def _check(rows: pl.DataFrame) -> None:
    missing = [name for name in KEPT_FORECASTS.columns.names if name not in rows.columns]
    if missing:
        raise ModelError(f"kept forecasts lack {', '.join(missing)}; hand in the `kept` of a retrain report")
    numbers = pl.all_horizontal(pl.col(_NUMBERS).is_finite() | pl.col(_NUMBERS).is_null())
    named = pl.all_horizontal(pl.col(KEPT_FORECASTS.key).is_not_null())
    sound = named & pl.col("role").is_in([CHAMPION, CHALLENGER]) & (pl.col("ds") > pl.col("cutoff"))
    broken = rows.filter(~(sound & numbers & pl.col("mean").is_not_null()).fill_null(value=False))
    if not broken.is_empty():
        raise ModelError(
            f"{broken.height} of {rows.height} forecasts cannot be scored, the first is {broken.row(0, named=True)}; "
            f"expected the role {CHAMPION} or {CHALLENGER}, a period after the cutoff, finite numbers; nothing is kept"
        )
