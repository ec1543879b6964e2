"""Names and texts in SQL: what is declared is plain lower case, what an account has may be anything."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import StringConstraints

from mercurios.errors import ConfigError

PLAIN = re.compile(r"[a-z][a-z0-9_]{0,62}")
Name = Annotated[str, StringConstraints(pattern=rf"^{PLAIN.pattern}$", strict=True)]
"""A name that needs no quotes: Snowflake keeps it in upper case."""

_QUOTED = r'"(?:[^"]|"")+"'
_FOUND = re.compile(rf"(?:{PLAIN.pattern}|{_QUOTED})(?:\.(?:{PLAIN.pattern}|{_QUOTED}))*")
_PARTS = re.compile(rf'{_QUOTED}|[^."]+')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def text(value: str) -> str:
    """A string as a literal on one line, control characters as escapes."""
    escaped = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", value.replace("\\", "\\\\"))
    return "'" + escaped.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """A list of literals, separated by commas."""
    return ", ".join(map(text, values))


def plain(name: str) -> str:
    """The name as it is declared; raises ConfigError when it would need quotes."""
    if not PLAIN.fullmatch(name):
        raise ConfigError(f"expected a plain lower case name for Snowflake, got {name[:80]!r}; rename it")
    return name


def found(name: str) -> str:
    """A name that the account told, as it would be declared; in quotes where it has to be."""
    lower = name.lower()
    return lower if PLAIN.fullmatch(lower) and name == name.upper() else '"' + name.replace('"', '""') + '"'


def found_path(*parts: str) -> str:
    """Names that the account told, with dots between them."""
    return ".".join(map(found, parts))


def shown(text: str) -> str:
    """A text that somebody else chose, on one line and without what a terminal would obey."""
    return printable(" ".join(text.split()))


def printable(line: str) -> str:
    """A line without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in line)


def checked_path(path: str) -> str:
    """Names with dots between them, as `found_path` wrote them; raises ConfigError for anything else."""
    if not _FOUND.fullmatch(path):
        raise ConfigError(f"expected names as the account has them, got {shown(path)[:80]!r}")
    return path


def granted_path(path: str) -> str:
    """A path that SHOW GRANTS told: names in quotes where they need them, dots between them."""
    return found_path(*(_unquoted(part) for part in _PARTS.findall(path)))


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def flat(sql: str) -> str:
    """SQL with one blank where there was white space, to compare what was sent with what is kept."""
    return " ".join(sql.split()).removesuffix(";").rstrip()
