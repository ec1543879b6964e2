"""Patience with a server: repeat what may be repeated, wait as long as it asks for, give up in the end.

    response = send(client, request, Patience(attempts=3))

No answer, 429 and 5xx are repeated: after the server's Retry-After when it sends one, else with exponentially growing
pauses and jitter.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from mercurios.errors import MalformedPage, SourceUnavailable

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Patience:
    """How often and how long to wait for a server. A Retry-After beyond `longest_seconds` ends the attempts."""

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 60.0
    timeout_seconds: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


class _Refused(SourceUnavailable):
    """One attempt that came to nothing; `wait_seconds` is what the server asked for, if it did."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def send(client: httpx.Client, request: httpx.Request, patience: Patience) -> httpx.Response:
    """Send a request until it is answered with anything but 429 or 5xx.

    Raises SourceUnavailable naming host, path and last answer when the attempts are used up.
    """

    def may_repeat(error: BaseException) -> bool:
        return isinstance(error, _Refused) and (error.wait_seconds or 0) <= patience.longest_seconds

    retrying = Retrying(
        retry=retry_if_exception(may_repeat),
        wait=_wait(patience),
        stop=stop_after_attempt(patience.attempts),
        sleep=patience.sleep,
        reraise=True,
    )
    return retrying(_attempt, client, request)


def _attempt(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    place = f"{request.method} {request.url.host}{request.url.path}"
    try:
        response = client.send(request)
    except httpx.TransportError as error:
        raise _Refused(f"{place}: no answer ({type(error).__name__}); check host and network") from error
    except httpx.DecodingError as error:
        raise MalformedPage(
            f"{place}: a body that cannot be decoded; check what stands between here and there"
        ) from error
    if response.status_code == _TOO_MANY_REQUESTS or response.status_code >= _SERVER_ERROR:
        pause = retry_after_seconds(response.headers)
        asked = "" if pause is None else f" and asks to wait {pause:.0f} s"
        raise _Refused(f"{place}: the server answers {response.status_code}{asked}; run again later", pause)
    return response


def _wait(patience: Patience) -> Callable[[RetryCallState], float]:
    growing = wait_exponential_jitter(
        multiplier=patience.first_seconds, max=patience.longest_seconds, jitter=patience.first_seconds
    )

    def seconds(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_seconds if isinstance(error, _Refused) else None
        return growing(state) if asked is None else asked

    return seconds


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
