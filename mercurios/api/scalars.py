"""The schema's own scalars: what they accept and give."""

import re
from datetime import UTC, date, datetime

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment(value: datetime) -> str:
    """A moment in UTC to the second; one without a zone is taken as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
