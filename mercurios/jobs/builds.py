"""Builds of the marts: which was the newest, and whether it is whole.

    with recorded(open_warehouse) as build: ...      # around dbt
    require_build(warehouse)

dbt replaces the marts one by one. A build that failed, or was killed, leaves some of the new and some of the old, and
no test has passed for them together; they stay in the warehouse and do not go further.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pyarrow as pa

from mercurios.errors import TransformFailed
from mercurios.warehouse import Warehouse, table_spec

BUILDS = table_spec("ops.builds", "", {"build_id": pa.string(), "is_whole": pa.bool_()})
"""One row: the newest build. It is of all tenants together."""
_ALL = "(all)"


@contextmanager
def recorded(open_warehouse: Callable[[], Warehouse]) -> Iterator[str]:
    """Record a build as begun, and as whole when the block ends well; yields its id.

    The warehouse is let go while the block runs. Raises TransformFailed when another build began meanwhile; neither is
    whole then, unless that other one ends well later.
    """
    build_id = uuid4().hex
    with open_warehouse() as warehouse:
        warehouse.ensure(BUILDS)
        _record(warehouse, build_id, is_whole=False)
    yield build_id
    with open_warehouse() as warehouse:
        [newest] = warehouse.rows(BUILDS, _ALL).to_pylist()
        if newest["build_id"] != build_id:
            _record(warehouse, newest["build_id"], is_whole=False)
            raise TransformFailed("another build of the marts began meanwhile; run `mercurios transform` once more")
        _record(warehouse, build_id, is_whole=True)


def require_build(warehouse: Warehouse) -> str:
    """The id of the newest build; raises TransformFailed when there is none, or when it is not whole."""
    rows = warehouse.rows(BUILDS, _ALL).to_pylist()
    if not rows:
        raise TransformFailed("no build of the marts is recorded; run `mercurios transform` first")
    if not rows[0]["is_whole"]:
        raise TransformFailed(
            "the newest build of the marts did not end well, or is still running; the marts may be half of one build "
            "and half of another, so run `mercurios transform` until it succeeds"
        )
    return str(rows[0]["build_id"])


def _record(warehouse: Warehouse, build_id: str, *, is_whole: bool) -> None:
    rows = pa.table({"build_id": [build_id], "is_whole": [is_whole]})
    warehouse.replace(BUILDS, _ALL, rows)
