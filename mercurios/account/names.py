"""Names and texts in SQL: what is declared is plain lower case, what an account has may be anything."""

import re
from typing import Annotated

from pydantic import StringConstraints

from mercurios.errors import ConfigError

PLAIN = re.compile(r"[a-z][a-z0-9_]{0,62}")
Name = Annotated[str, StringConstraints(pattern=rf"^{PLAIN.pattern}$", strict=True)]
"""A name that needs no quotes: Snowflake keeps it in upper case."""

_PRINTABLE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")


def text(value: str) -> str:
    """A string as a literal; raises ConfigError on control characters."""
    if not _PRINTABLE.fullmatch(value):
        raise ConfigError(f"a text for Snowflake has control characters: {value[:80]!r}; take them out")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def texts(values: tuple[str, ...]) -> str:
    """A list of literals, separated by commas."""
    return ", ".join(map(text, values))


def plain(name: str) -> str:
    """The name as it is declared; raises ConfigError when it would need quotes."""
    if not PLAIN.fullmatch(name):
        raise ConfigError(f"expected a plain lower case name for Snowflake, got {name[:80]!r}; rename it")
    return name


def plain_path(path: str) -> str:
    """Names with dots between them, each of them plain."""
    return ".".join(map(plain, path.split(".")))


def found(name: str) -> str:
    """A name that the account told, as it would be declared; in quotes where it has to be."""
    lower = name.lower()
    return lower if PLAIN.fullmatch(lower) and name == name.upper() else '"' + name.replace('"', '""') + '"'


def found_path(*parts: str) -> str:
    """Names that the account told, with dots between them."""
    return ".".join(map(found, parts))


def flat(sql: str) -> str:
    """SQL with one blank where there was white space, to compare what was sent with what is kept."""
    return " ".join(sql.split()).removesuffix(";").rstrip()
