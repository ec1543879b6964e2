"""Structured logs: where they go is chosen once, by the command that runs.

to_stderr("warning")                # a command for people: quiet unless something is wrong
to_stderr("info", as_json=True)     # a service
to_file(home / "logs" / "mercurios.log")
"""

import sys
from pathlib import Path
from typing import Any

import structlog

_SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_JSON: tuple[Any, ...] = (structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer())
_LEVELS = {"info": 20, "warning": 30}


def to_stderr(level: str, *, as_json: bool = False) -> None:
    """Write lines of `level` (info or warning) and above to stderr, as JSON or for reading."""
    ending = _JSON if as_json else (structlog.dev.ConsoleRenderer(),)
    _configure(level, ending, structlog.WriteLoggerFactory(sys.stderr))


def to_file(path: Path) -> None:
    """Append all lines to a file as JSON; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _configure("info", _JSON, structlog.WriteLoggerFactory(path.open("a")))


def _configure(level: str, ending: tuple[Any, ...], factory: Any) -> None:
    structlog.configure(
        processors=[*_SHARED, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
