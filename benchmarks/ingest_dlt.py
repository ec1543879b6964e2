"""dlt as a contender of the ingest benchmark: its REST API source into DuckDB, in a process and environment of its own.

    .venv-dlt/bin/python -m benchmarks.ingest_dlt TASK.json

How it is set up is what was fastest of what was tried. Between its steps: Parquet (199,000 sale lines: 15,300 rows a
second, JSON lines 12,400; insert statements, its default, 1,900 on 925,000 records, with 19 GB). Typed columns, so that
its tables have the same types. `upsert` (16,600; `delete-insert` 15,300). Its own buffer sizes (four times larger:
12,100). Two processes that normalize, and files small enough to feed them (576,000 records: 16,000 with 616 MB; one:
12,500 with 483 MB). A schema a tenant, as a tenant column would cost it a function call a row. DuckDB within 400 MB:
as fast as without a limit, in 160 MB less.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.sources.helpers import requests
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from dlt.sources.rest_api import rest_api_source

from benchmarks.ingest_task import Task, peak_mb

MEMORY = "400MB"
STEPS = ("extract", "normalize", "load")
Record = dict[str, Any]


def run(task: Task) -> dict[str, Any]:
    """Load every tenant of the task, one after the other; seconds by step."""
    began = time.perf_counter()
    spent: dict[str, float] = {}
    for tenant_id in task.tenants:
        pipeline = dlt.pipeline(
            tenant_id,
            pipelines_dir=str(Path(task.database).parent / "pipelines"),
            destination=dlt.destinations.duckdb(_credentials(task)),
            dataset_name=tenant_id,
        )
        pipeline.run(_source(task, tenant_id), loader_file_format="parquet")
        for step in pipeline.last_trace.steps:
            if step.step in STEPS:
                spent[step.step] = spent.get(step.step, 0.0) + (step.finished_at - step.started_at).total_seconds()
    return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb(), "spent": spent}


def _credentials(task: Task) -> DuckDbCredentials:
    return DuckDbCredentials(task.database, global_config={"memory_limit": MEMORY})


def _source(task: Task, tenant_id: str) -> Any:
    url, token = _login(task, tenant_id)
    pages = PageNumberPaginator(base_page=1, page_param="page", total_path=None, stop_after_empty_page=True)
    return rest_api_source(
        {
            "client": {"base_url": f"{url}/api/v2/", "auth": {"type": "bearer", "token": token}, "paginator": pages},
            "resource_defaults": {
                "primary_key": "id",
                "write_disposition": {"disposition": "merge", "strategy": "upsert"},
                "max_table_nesting": 0,
                "endpoint": {"params": {"pagesize": task.page_size}},
            },
            "resources": [_resource(task, entity) for entity in task.entities],
        },
        name=tenant_id,
    )


def _resource(task: Task, entity: str) -> Record:
    hints = {
        name: {"name": name, "data_type": kind, "nullable": name != "id"}
        | ({"timezone": False} if kind == "timestamp" else {})
        for name, kind in task.columns[entity].items()
    }
    resource: Record = {"name": entity, "endpoint": {"path": entity}, "columns": hints}
    if entity in task.trimmed:
        resource["processing_steps"] = [{"map": _kept(frozenset(hints))}]
    return resource


def _kept(names: frozenset[str]) -> Callable[[Record], Record]:
    return lambda record: {name: value for name, value in record.items() if name in names}


def _login(task: Task, tenant_id: str) -> tuple[str, str]:
    def read(kind: str) -> str:
        return (task.tenant_files / f"{tenant_id}.api_{kind}").read_text().strip()

    body = {"apiKey": read("key"), "secret": read("secret")}
    answer = requests.post(f"{task.auth_url}/api/v4/token", json=body).json()
    return answer["serverUrl"], answer["token"]["token"]["value"]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.with_suffix(".result").write_text(json.dumps(run(Task.read(path))))
