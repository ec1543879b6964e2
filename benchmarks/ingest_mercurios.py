"""Mercurios as a contender of the ingest benchmark: one run of the job in a process of its own.

    python -m benchmarks.ingest_mercurios TASK.json

Reads the task, ingests each tenant, and writes seconds and peak memory beside it.
"""

import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.ingest_task import Task, peak_mb
from mercurios.jobs.ingest import DUE, Run, ingest
from mercurios.sources.prohandel import ProHandel
from mercurios.tenancy import Filters, Tenant, TenantDirectory
from mercurios.warehouse.duckdb import DuckDBWarehouse


def run(task: Task) -> dict[str, Any]:
    """Ingest every tenant of the task, one after the other; seconds by tenant and entity."""
    began = time.perf_counter()
    spent: dict[str, float] = {}
    for tenant_id in task.tenants:
        tenant = _tenant(task, tenant_id)
        with ProHandel(tenant) as source, DuckDBWarehouse.open(f"duckdb:///{task.database}") as warehouse:
            extent = replace(DUE, entities=task.entities)
            report = ingest(source, tenant, warehouse, Run(datetime.fromisoformat(task.as_of), task.spool, extent))
        for batch in report.batches:
            spent[batch.entity] = spent.get(batch.entity, 0.0) + batch.seconds
    return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb(), "spent": spent}


def _tenant(task: Task, tenant_id: str) -> Tenant:
    tenant = TenantDirectory(task.tenant_files).get(tenant_id)
    return replace(tenant, source=replace(tenant.source, filters=Filters(*task.filters))) if task.filters else tenant


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.with_suffix(".result").write_bytes(orjson.dumps(run(Task.read(path))))
