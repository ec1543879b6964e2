"""The screen of the command line: progress of long steps, and what each station took.

    console = Console()
    with console.shown():
        pipeline()
    console.stations["ingest"].seconds

A step's label starts with its station (`ingest north sale`), so the console also knows which station is at work and
samples the memory of the process tree meanwhile.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from rich.console import Console as Screen
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from mercurios import progress

_SAMPLE_SECONDS = 0.5


@dataclass
class Station:
    """What one station took: wall seconds from its first step to the next station's, peak memory of all processes."""

    seconds: float = 0.0
    peak_bytes: int = 0


@dataclass
class _Step:
    label: str
    unit: str
    started: float
    task: TaskID
    done: int = 0


class Console:
    """Shows steps as they run: bars on a terminal, one line a finished step elsewhere."""

    def __init__(self, screen: Screen | None = None) -> None:
        self.screen = screen or Screen()
        self.stations: dict[str, Station] = {}
        self._station = ""
        self._since = 0.0
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        self._next = 0
        self._ended = threading.Event()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f} {task.fields[unit]}"),
            TimeElapsedColumn(),
            console=self.screen,
            transient=True,
            disable=not self.screen.is_terminal,
        )

    @contextmanager
    def shown(self, first: str = "start") -> Iterator[None]:
        """Show progress while the block runs; time before the first step counts for station `first`."""
        progress.show_with(self)
        self.enter(first)
        sampler = threading.Thread(target=self._sample, name="memory-sampler", daemon=True)
        sampler.start()
        try:
            with self._bars:
                yield
        finally:
            self.enter("")
            self._ended.set()
            sampler.join()
            progress.show_with(None)

    def enter(self, station: str) -> None:
        """Close the books of the station at work and open those of `station`."""
        with self._lock:
            now = time.perf_counter()
            if self._station:
                self.stations.setdefault(self._station, Station()).seconds += now - self._since
            self._station, self._since = station, now

    def start(self, label: str, unit: str, total: int | None) -> int:
        """Begin a step; see `mercurios.progress.Display`."""
        station = label.split()[0]
        if station != self._station:
            self.enter(station)
        task = self._bars.add_task(label, total=total, unit=unit)
        with self._lock:
            self._next += 1
            self._steps[self._next] = _Step(label, unit, time.perf_counter(), task)
            return self._next

    def advance(self, handle: int, amount: int) -> None:
        """Add finished units to a step."""
        step = self._steps[handle]
        step.done += amount
        self._bars.advance(step.task, amount)

    def finish(self, handle: int) -> None:
        """End a step and leave one line of it."""
        step = self._ended_step(handle)
        seconds = time.perf_counter() - step.started
        self.say(f"  {step.label:<44} {step.done:>11,} {step.unit:<10} {seconds:6.1f} s")

    def drop(self, handle: int) -> None:
        """End a step and leave nothing of it."""
        self._ended_step(handle)

    def _ended_step(self, handle: int) -> _Step:
        step = self._steps.pop(handle)
        self._bars.remove_task(step.task)
        return step

    def tell(self, line: str) -> None:
        """Leave a line of what came of something, below its station."""
        self.say(f"  {line}")

    def say(self, line: str) -> None:
        """Print one line as it is."""
        self.screen.print(line, highlight=False, markup=False, soft_wrap=True)

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            size = _tree_bytes()
            with self._lock:
                if self._station:
                    station = self.stations.setdefault(self._station, Station())
                    station.peak_bytes = max(station.peak_bytes, size)


def _tree_bytes() -> int:
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # it ended between being listed and being measured
            continue
    return total
