"""The schema's own scalars, what they accept and give; rows as the schema names and counts them."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment(value: datetime) -> str:
    """A moment in UTC to the second; one without a zone is taken as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def finite(value: float | None) -> float | None:
    """The number, or None where there is none: a frame may have turned "empty" into NaN."""
    return value if value is not None and math.isfinite(value) else None


def camel(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table as the schema names its columns."""
    return {name[0] + name.title().replace("_", "")[1:]: value for name, value in row.items()}


def bind_scalars(schema: GraphQLSchema) -> None:
    """Teach the schema's own scalars how to read and write."""
    day, instant = schema.type_map["Date"], schema.type_map["DateTime"]
    assert isinstance(day, GraphQLScalarType)
    assert isinstance(instant, GraphQLScalarType)
    day.serialize = lambda value: value.isoformat()  # type: ignore[method-assign]
    day.parse_value = _day  # type: ignore[method-assign]
    instant.serialize = moment  # type: ignore[method-assign]


def _day(value: object) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise GraphQLError("expected a day as YYYY-MM-DD, e.g. 2017-11-30")
