"""The audit log: who asked what, when, with what outcome; no values, no names, no credentials.

    audit = AuditLog.open(home / "access" / "audit.jsonl")
    audit.write(at="2026-11-22T10:00:00.123Z", tenant="north", operation="metrics", outcome="ok")

One line of JSON a request, appended with one write, so several processes may share the file on a local disk. Whoever
rotates it renames it: the next line goes to a new file. A request whose line cannot be written is not answered.
"""

import os
from pathlib import Path

import orjson

from mercurios.errors import AccessUnavailable, ConfigError


class AuditLog:
    """An open log; `open` makes one. Lines are handed to the system, not forced to the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_torn = False
        self._open()

    @classmethod
    def open(cls, path: Path) -> "AuditLog":
        """Open or make the log, readable by its owner only; raises ConfigError when it cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(path)
        except OSError as error:
            raise ConfigError(
                f"cannot write the audit log {path}: {error.strerror}; without it nothing is answered"
            ) from error

    def write(self, **told: str | float | None) -> None:
        """Append one line; raises AccessUnavailable when it did not get there whole."""
        line = orjson.dumps(told) + b"\n"
        try:
            self._follow()
            if self._is_torn:
                line = b"\n" + line
            self._is_torn = os.write(self._file, line) != len(line)
        except OSError as error:
            raise AccessUnavailable(_UNWRITTEN, reason="audit") from error
        if self._is_torn:
            raise AccessUnavailable(_UNWRITTEN, reason="audit")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _follow(self) -> None:
        """Open the file anew after it was renamed or removed."""
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._file)):
                return
        except FileNotFoundError:
            pass
        gone = self._file
        self._open()
        self._is_torn = False
        os.close(gone)


_UNWRITTEN = "nothing is answered while the audit log cannot be written; try again later"
