"""Builds of the marts: which was the newest, whether it is whole, and by which project it was made.

    with recorded(open_warehouse) as build:          # around dbt
        build.project = "a digest"
    require_build(warehouse)

dbt replaces the marts one by one. A build that failed, or was killed, leaves some of the new and some of the old, and
no test has passed for them together; they stay in the warehouse and do not go further.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa

from mercurios.errors import MercuriosError, TransformFailed
from mercurios.transformation import FROM_SCRATCH
from mercurios.warehouse import TableSpec, Warehouse, table_spec

BUILDS = table_spec("ops.builds", "", {"build_id": pa.string(), "is_whole": pa.bool_(), "project": pa.string()})
"""One row: the newest build. It is of all tenants together."""
_ALL = "(all)"


@dataclass
class Build:
    """A build while it runs.

    project: names the SQL that builds; whoever runs it sets it. built_by: the project of the build before, empty when
    that one is not whole; FROM_SCRATCH after two builds at once, for both may have brought the same rows.
    """

    build_id: str
    built_by: str
    project: str = ""


@contextmanager
def recorded(open_warehouse: Callable[[], Warehouse], *read: TableSpec) -> Iterator[Build]:
    """Record a build as begun, and as whole when the block ends well.

    read: tables that the build reads and that may not be there yet; they are made. The warehouse is let go while the
    block runs. Raises TransformFailed, in both, when another build began meanwhile.
    """
    build_id = uuid4().hex
    with open_warehouse() as warehouse:
        warehouse.ensure(BUILDS, *read)
        built_by = _built_by(warehouse)
        begun = {"build_id": build_id, "is_whole": False, "project": built_by if built_by == FROM_SCRATCH else ""}
        _record(warehouse, begun)
    try:
        yield (build := Build(build_id, built_by))
    except BaseException as error:
        try:
            with open_warehouse() as warehouse:
                _found_another(warehouse, begun)
        except MercuriosError as other:
            error.add_note(f"whether another build ran at the same time could not be seen: {other}")
        raise
    with open_warehouse() as warehouse:
        if _found_another(warehouse, begun):
            raise TransformFailed(
                "another build of the marts ran at the same time; when that one has ended run `mercurios transform` "
                "once more, which then builds everything from scratch"
            )
        _record(warehouse, {"build_id": build_id, "is_whole": True, "project": build.project})


def require_build(warehouse: Warehouse) -> str:
    """The id of the newest build; raises TransformFailed when there is none, or when it is not whole."""
    rows = _rows(warehouse)
    if not rows:
        raise TransformFailed("no build of the marts is recorded; run `mercurios transform` first")
    if not rows[0]["is_whole"]:
        raise TransformFailed(
            "the newest build of the marts did not end well, or is still running; the marts may be half of one build "
            "and half of another, so run `mercurios transform` until it succeeds"
        )
    return str(rows[0]["build_id"])


def _found_another(warehouse: Warehouse, begun: Mapping[str, Any]) -> bool:
    """Whether another build began since; then nothing can be built upon what there is now, and that is recorded."""
    [newest] = _rows(warehouse)
    if newest == begun:
        return False
    _record(warehouse, newest | {"is_whole": False, "project": FROM_SCRATCH})
    return True


def _built_by(warehouse: Warehouse) -> str:
    for row in _rows(warehouse):
        if row["is_whole"] or row["project"] == FROM_SCRATCH:
            return row["project"] or ""
    return ""


def _rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = warehouse.rows(BUILDS, _ALL).drop_columns(["tenant_id"]).to_pylist()
    return rows


def _record(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    warehouse.replace(BUILDS, _ALL, pa.Table.from_pylist([row]))
