"""Patience with a server: repeat what may be repeated, wait as long as it asks for, give up in the end.

    answer = persist(lambda: connection.send("GET", url), Patience(attempts=3))

A try that may be repeated raises `Again`. The pause before the next one is the server's Retry-After when it sends
one, else it grows exponentially, with jitter.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential_jitter

from mercurios.errors import SourceError

HEAVY_TRIES = 2
"""A page that may be too large is asked for this often before a smaller one is."""
FEW_TRIES = 3
"""A damaged answer is asked for this often: it may be cut on its way, or it may always look like this."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How often and how long to wait for a server.

    A Retry-After beyond `longest_seconds` ends the tries. An answer that is not whole after `timeout_seconds` is none;
    a page that takes longer than `slow_seconds` is taken, and smaller ones are asked for.
    """

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 60.0
    timeout_seconds: float = 60.0
    slow_seconds: float = 20.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


class Again(Exception):
    """A try that came to nothing, and what is raised when no other is made.

    wait_seconds: what the server asked for, if it did. is_heavy: a smaller page may come through. tries: how many such
    tries are enough, when fewer than the patience has.
    """

    def __init__(
        self, error: SourceError, *, wait_seconds: float | None = None, is_heavy: bool = False, tries: int | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_seconds = wait_seconds
        self.is_heavy = is_heavy
        self.tries = tries


class TooHeavy(Exception):
    """What was asked for may be too much at once."""


def persist(
    attempt: Callable[[], T], patience: Patience, *, attempts: int | None = None, may_shrink: bool = False
) -> T:
    """Repeat an attempt as long as it raises Again and the patience lasts.

    Raises the error of the last try; TooHeavy instead, and earlier, when a smaller page may help and `may_shrink`.
    """
    most = attempts or patience.attempts

    def is_enough(state: RetryCallState) -> bool:
        again = _raised(state)
        tries = [most, again.tries or most, HEAVY_TRIES if may_shrink and again.is_heavy else most]
        return state.attempt_number >= min(tries)

    def may_repeat(error: BaseException) -> bool:
        return isinstance(error, Again) and (error.wait_seconds or 0) <= patience.longest_seconds

    retrying = Retrying(
        retry=retry_if_exception(may_repeat), wait=_wait(patience), stop=is_enough, sleep=patience.sleep, reraise=True
    )
    try:
        return retrying(attempt)
    except Again as again:
        raise (TooHeavy() if may_shrink and again.is_heavy else again.error) from None


def _wait(patience: Patience) -> Callable[[RetryCallState], float]:
    growing = wait_exponential_jitter(
        multiplier=patience.first_seconds, max=patience.longest_seconds, jitter=patience.first_seconds
    )

    def seconds(state: RetryCallState) -> float:
        asked = _raised(state).wait_seconds
        return growing(state) if asked is None else asked

    return seconds


def _raised(state: RetryCallState) -> Again:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Again)
    return error


def retry_after_seconds(headers: httpx.Headers) -> float | None:
    """Seconds of a Retry-After header, given as a number or as a date (held against the answer's own Date)."""
    value = str(headers.get("Retry-After", "")).strip()
    if value.isdecimal():
        return float(value)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (TypeError, ValueError):
        return None
    return max(0.0, float(seconds))
