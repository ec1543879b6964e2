"""Export: the marts of the warehouse go to the lake as one release.

report = export(warehouse, lake, as_of=as_of, files={"semantic_manifest.json": manifest})
report.release.id

Only partitions (a tenant, of large marts a month of a tenant) that changed since the current release are read and
written, batch by batch; a mart that did not change keeps its snapshot.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from mercurios.errors import LakeError
from mercurios.jobs.builds import require_build
from mercurios.lake import Lake, Release, Source, TableReport, day_column
from mercurios.progress import track
from mercurios.tables import MARTS, TABLES
from mercurios.warehouse import Extract, Warehouse

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ExportReport:
    """What was published, and by table what had to be written for it."""

    release: Release
    tables: tuple[TableReport, ...]
    seconds: float

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows by table over all tenants."""
        return {table.name: table.rows for table in self.tables}


def export(warehouse: Warehouse, lake: Lake, *, as_of: datetime, files: Mapping[str, bytes]) -> ExportReport:
    """Publish every mart of all tenants as the next release.

    files: what a reader needs beside the tables, e.g. the semantic manifest.
    Raises, before anything is visible, TransformFailed when the newest build of the marts is not whole, LakeError when
    a table does not hold exactly the mart's rows, and PublishConflict when somebody else published meanwhile.
    """
    started = time.perf_counter()
    build_id = require_build(warehouse)
    reports: list[TableReport] = []
    with track("export marts", unit="tables", total=len(MARTS)) as advance:

        def told(report: TableReport) -> None:
            reports.append(report)
            advance(1)
            if len(reports) == len(MARTS) and require_build(warehouse) != build_id:
                raise LakeError("the marts were built anew while they were exported; run the export again")

        tables = {name: partial(_source, warehouse, name, told) for name in MARTS}
        release = lake.publish(tables, as_of=as_of, files=files)
    report = ExportReport(release, tuple(reports), time.perf_counter() - started)
    _log(report)
    return report


def _source(warehouse: Warehouse, name: str, told: Callable[[TableReport], None]) -> Source:
    extract = Extract(f"marts.{name}", TABLES[name].schema, day_column(name))
    read, unload = partial(warehouse.extract, extract), partial(warehouse.unload, extract)
    return Source(warehouse.fingerprints(extract), read, unload, told)


def _log(report: ExportReport) -> None:
    log.info(
        "export",
        release=report.release.id,
        rows=sum(table.rows for table in report.tables),
        written=sum(table.written for table in report.tables),
        kept=sum(table.kept for table in report.tables),
        dropped=sum(table.dropped for table in report.tables),
        bytes=sum(table.bytes for table in report.tables),
        seconds=round(report.seconds, 1),
    )
