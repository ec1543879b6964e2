"""What an account consists of, as far as it is declared: items of a kind with a name and facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mercurios.account.names import shown

Fact = str | int | bool | tuple[str, ...] | tuple[int, ...] | None
Facts = Mapping[str, Fact]

KINDS = (
    "monitor",
    "warehouse",
    "account",
    "database",
    "schema",
    "tag",
    "table",
    "role",
    "tenant",
    "row policy",
    "masking policy",
    "masked tag",
    "network rule",
    "network policy",
    "user",
    "view",
    "task",
    "grant",
    "tagging",
    "protection",
    "personal column",
)
"""In the order in which they are made; what is dropped goes the other way."""


@dataclass(frozen=True)
class Item:
    """One thing of an account.

    name: plain lower case with dots, or a quoted name where the account has such a one. Of kind `grant` it is what
    follows the word (`usage on warehouse loading to role loader`), of `tagging` what follows ALTER (`user loader`).
    facts: what is compared; an item without facts is there or not.
    """

    kind: str
    name: str
    facts: Facts = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind

    @property
    def key(self) -> tuple[str, str]:
        """By which an item is found again."""
        return self.kind, self.name

    def __str__(self) -> str:
        return shown(f"{self.kind} {self.name}")
