"""Export: the marts of the warehouse go to the lake as one release.

report = export(warehouse, lake, as_of=as_of, files={"semantic_manifest.json": manifest})
report.release.id
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pyarrow as pa
import structlog

from mercurios.lake import Lake, Release
from mercurios.progress import track
from mercurios.tables import MARTS
from mercurios.warehouse import Warehouse

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ExportReport:
    """What was published; `rows` by table over all tenants."""

    release: Release
    rows: Mapping[str, int]
    seconds: float


def export(warehouse: Warehouse, lake: Lake, *, as_of: datetime, files: Mapping[str, bytes]) -> ExportReport:
    """Publish every mart of all tenants as the next release.

    files: what a reader needs beside the tables, e.g. the semantic manifest.
    Raises LakeError, before anything is visible, when a table does not hold exactly the mart's rows.
    """
    started = time.perf_counter()
    rows: dict[str, int] = {}
    with track("export marts", unit="tables", total=len(MARTS)) as advance:

        def fetch(name: str) -> pa.Table:
            mart = warehouse.table(f"marts.{name}")
            rows[name] = mart.num_rows
            advance(1)
            return mart

        release = lake.publish({name: partial(fetch, name) for name in MARTS}, as_of=as_of, files=files)
    seconds = time.perf_counter() - started
    log.info("export", release=release.id, rows=sum(rows.values()), seconds=round(seconds, 1))
    return ExportReport(release, rows, seconds)
