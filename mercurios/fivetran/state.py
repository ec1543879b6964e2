"""State: how far a connection has come, as the JSON object that Fivetran carries from sync to sync.

    state = State.parse({})
    state.as_json()

It holds cursors and positions, no secret and nothing of a record. A *pass* is one reading of all entities; it may take
several calls and outlive a sync that failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from mercurios.errors import ConfigError
from mercurios.sources import Window
from mercurios.sources.windows import Cursor

VERSION = 1
Json = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """Where the entity that is being read stands; times are the merchant's local time.

    windows: those left to read, the first one under way. start: records of it that were read. newest: newest change.
    has_marked: whether what the table held before was marked as deleted already.
    """

    windows: tuple[Window, ...]
    began: datetime
    start: int = 0
    newest: datetime | None = None
    has_marked: bool = False


@dataclass(frozen=True)
class State:
    """Cursors of all entities, and the pass under way: the sync it belongs to, what is left of it, what went wrong.

    empty: answers in a row that brought nothing; only Functions count them.
    """

    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    run: str = ""
    left: tuple[str, ...] = ()
    position: Position | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    empty: int = 0

    @classmethod
    def parse(cls, raw: object) -> "State":
        """Read what `as_json` wrote; an empty object is the beginning. Raises ConfigError for anything else."""
        if raw is None or raw == {}:
            return cls()
        try:
            return _state(raw)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise ConfigError(
                "the state is none that this connector wrote; put back the last good one, or {} to begin again"
            ) from None

    def as_json(self) -> Json:
        """Plain JSON; the inverse of `parse`."""
        return {
            "version": VERSION,
            "cursors": {entity: _written(vars(cursor)) for entity, cursor in self.cursors.items()},
            "run": self.run,
            "left": list(self.left),
            "position": None if self.position is None else _position_json(self.position),
            "failed": dict(self.failed),
            "empty": self.empty,
        }


def _state(raw: Any) -> State:
    if raw["version"] != VERSION:
        raise ValueError("another version")
    position = raw["position"]
    return State(
        cursors={
            str(entity): Cursor(_moment(one["changed_to"]), _day(one["closed_until"]), _moment(one["complete_at"]))
            for entity, one in raw["cursors"].items()
        },
        run=_text(raw["run"]),
        left=tuple(_text(entity) for entity in raw["left"]),
        position=None if position is None else _position(position),
        failed={_text(entity): _text(message) for entity, message in raw["failed"].items()},
        empty=int(raw["empty"]),
    )


def _position(raw: Any) -> Position:
    windows = tuple(
        Window(_moment(one["changed_from"]), _day(one["day_from"]), _day(one["day_until"])) for one in raw["windows"]
    )
    began, start = _moment(raw["began"]), raw["start"]
    if began is None or not windows or type(start) is not int or start < 0:
        raise ValueError("no position")
    return Position(windows, began, start, _moment(raw["newest"]), bool(raw["has_marked"]))


def _position_json(position: Position) -> Json:
    return _written(vars(position)) | {"windows": [_written(vars(window)) for window in position.windows]}


def _written(values: Mapping[str, Any]) -> Json:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def _moment(text: str | None) -> datetime | None:
    moment = None if text is None else datetime.fromisoformat(text)
    if moment and moment.tzinfo:
        raise ValueError("a local time has no zone")
    return moment


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
