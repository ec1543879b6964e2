"""Progress of long steps, shown by whoever owns the screen.

    with track("ingest north sale", unit="rows") as advance:
        for page in pages:
            advance(len(page))

Jobs report, the command line displays. Nothing is shown until `show_with` installs a display: one process has one
screen, so the display is process-wide.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Display(Protocol):
    """Where progress goes."""

    def start(self, label: str, unit: str, total: int | None) -> int:
        """Begin a step and return its handle; total is None when the source does not tell."""

    def advance(self, handle: int, amount: int) -> None:
        """Add `amount` units to the step."""

    def finish(self, handle: int) -> None:
        """End the step, also after an error, and leave a line of it."""

    def drop(self, handle: int) -> None:
        """End the step, also after an error, and leave nothing of it."""

    def tell(self, line: str) -> None:
        """Leave a line of what came of something."""


class _Silent:
    def start(self, label: str, unit: str, total: int | None) -> int:
        return 0

    def advance(self, handle: int, amount: int) -> None:
        return None

    def finish(self, handle: int) -> None:
        return None

    def drop(self, handle: int) -> None:
        return None

    def tell(self, line: str) -> None:
        return None


_display: Display = _Silent()


def show_with(display: Display | None) -> None:
    """Send all further progress to `display`; None silences it."""
    global _display
    _display = display or _Silent()


@contextmanager
def track(label: str, *, unit: str, total: int | None = None, leaves_line: bool = True) -> Iterator[Advance]:
    """Announce a step that takes longer than a second; yields a function that adds finished units.

    leaves_line: no when what came of it is told with `tell`.
    """
    display = _display
    handle = display.start(label, unit, total)
    try:
        yield lambda amount: display.advance(handle, amount)
    finally:
        (display.finish if leaves_line else display.drop)(handle)


def tell(line: str) -> None:
    """Tell what came of something, where amount and time alone would not say it."""
    _display.tell(line)
