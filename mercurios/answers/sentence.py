"""The tags of a question while they are being used up.

A rule looks at tags by role and at their neighbours, and marks what it understood. What is left unmarked at the end was
not understood.
"""

from collections.abc import Iterator

from mercurios.answers.outcome import Ambiguity, Refusal
from mercurios.answers.reading import Reading, Tag


class Halt(Exception):
    """Raised by a rule that knows the question will not be answered; never leaves `plan`."""

    def __init__(self, outcome: Refusal | Ambiguity) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Sentence:
    """Tags in order, and which of them have been understood. Positions are indices into `tags`."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.tags = reading.tags
        self._used: set[int] = set()

    def use(self, *positions: int) -> None:
        """Mark tags as understood."""
        self._used.update(positions)

    def is_used(self, at: int) -> bool:
        """Whether a rule has understood the tag."""
        return at in self._used

    def unused(self) -> tuple[Tag, ...]:
        """Tags that no rule has understood."""
        return tuple(tag for at, tag in enumerate(self.tags) if at not in self._used)

    def having(self, *roles: str) -> Iterator[tuple[int, Tag]]:
        """Positions and tags of these roles, left to right."""
        return ((at, tag) for at, tag in enumerate(self.tags) if tag.role in roles)

    def has(self, *roles: str) -> bool:
        """Whether any tag has one of these roles."""
        return any(tag.role in roles for tag in self.tags)

    def role(self, at: int) -> str:
        """Role of the tag at a position; empty beyond the ends."""
        return self.tags[at].role if 0 <= at < len(self.tags) else ""

    def is_list(self, left: int, right: int) -> bool:
        """Whether two tags are joined by `and` or by a comma alone; the `and` is used up."""
        if right == left + 2 and self.role(left + 1) == "and":
            self.use(left + 1)
            return True
        return right == left + 1 < len(self.tags) and self._between(left, right).strip() == ","

    def is_one_word(self, left: int, right: int) -> bool:
        """Whether two tags stand in one compound, as in Monatsumsatz."""
        return left >= 0 and right == left + 1 < len(self.tags) and not self._between(left, right)

    def _between(self, left: int, right: int) -> str:
        tokens = self.reading.tokens
        return self.reading.question[tokens[self.tags[left].after - 1].end : tokens[self.tags[right].first].start]
