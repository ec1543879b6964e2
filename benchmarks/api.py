"""The API under load: how fast it answers what is kept and what is not, and how much more than Strawberry it answers.

    python -m benchmarks.api [--seconds 300] [--folder var/bench-api]

Twenty merchants, each with all rows of one of the demonstration's. A hundred requests a second, four of five of them
what a page asks again and again, the fifth asked for the first time; credentials, roles, rate limits and the audit log
as they always are. Times are those of the client, from when a request was due. Then the same mix as fast as eight
connections get it answered, here and behind Strawberry on uvicorn, by turns. All of it shares the cores of one machine.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np

from benchmarks.api_load import DOCUMENTS, Request, Sent, at_most, at_rate, requests
from benchmarks.api_tenants import TENANTS, twenty
from benchmarks.telling import keep, say
from mercurios import wiring
from mercurios.config import Settings

RATE = 100
CONNECTIONS, TURNS, TURN_SECONDS = 8, 3, 20
_STARTED_WITHIN = 120.0


def main() -> None:
    """Run all parts, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="of the load at a hundred requests a second")
    parser.add_argument(
        "--folder", type=Path, default=Path("var/bench-api"), help="where the twenty merchants are kept"
    )
    asked = parser.parse_args()
    home = twenty(asked.folder.resolve())
    tokens = {name: wiring.issue_token(name, "analyst", 12, Settings(home=home)) for name in TENANTS}
    figures: dict[str, Any] = {"requests_per_second": RATE, "seconds": asked.seconds, "tenants": len(TENANTS)}
    with served(home, "mercurios", "serve") as url:
        figures |= cold(url, tokens)
        figures |= steady(url, tokens, asked.seconds)
    say(_told(figures))
    figures |= against_strawberry(home, tokens)
    keep("api", figures)
    say(_told(figures))


def _told(figures: dict[str, Any]) -> str:
    return "".join(f"{name:<28} {value}\n" for name, value in figures.items())


def cold(url: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Seconds until a merchant whose session is not open has the first figures, the slowest of all twenty."""
    took = []
    for name in TENANTS:
        began = time.perf_counter()
        query, variables = DOCUMENTS[0]
        _ask(url, tokens[name], query, variables)
        took.append(time.perf_counter() - began)
    return {"cold_open_s": round(max(took[1:]), 3), "cold_open_median_s": round(median(took[1:]), 3)}


def steady(url: str, tokens: dict[str, str], seconds: int) -> dict[str, Any]:
    """The load of a day, after each merchant's page was opened once."""
    for name in TENANTS:
        for query, variables in DOCUMENTS:
            _ask(url, tokens[name], query, variables)
    sent = asyncio.run(at_rate(url, tokens, requests(TENANTS, seed=1), per_second=RATE, seconds=seconds))
    wrong = Counter(one.wrong for one in sent if one.wrong)
    for told, count in wrong.most_common(5):
        say(f"{count} times: {told}\n")
    hits = _hits(url)
    return {
        "requests": len(sent),
        "errors": wrong.total(),
        "p95_cached_ms": _quantile(sent, 0.95, is_hot=True),
        "p95_uncached_ms": _quantile(sent, 0.95, is_hot=False),
        "p50_cached_ms": _quantile(sent, 0.5, is_hot=True),
        "p50_uncached_ms": _quantile(sent, 0.5, is_hot=False),
        "p99_cached_ms": _quantile(sent, 0.99, is_hot=True),
        "p99_uncached_ms": _quantile(sent, 0.99, is_hot=False),
        "cache": hits,
    }


def against_strawberry(home: Path, tokens: dict[str, str]) -> dict[str, Any]:
    """Requests a second of both, by turns, after a turn of each that does not count; the ratio of their medians."""
    found: dict[str, list[float]] = {"ours": [], "strawberry": []}
    with served(home, "mercurios", "serve") as ours, served(home, "benchmarks.api_strawberry") as theirs:
        for turn in range(TURNS + 1):
            for name, url in (("ours", ours), ("strawberry", theirs)):
                wanted = requests(TENANTS, seed=100 + turn)
                sent = asyncio.run(
                    at_most(url, tokens, _for(name, wanted), connections=CONNECTIONS, seconds=TURN_SECONDS)
                )
                wrong = [one.wrong for one in sent if one.wrong]
                if wrong:
                    raise SystemExit(f"{name}: {len(wrong)} of {len(sent)} failed: {wrong[0]}")
                found[name].append(len(sent) / TURN_SECONDS)
    ours_rps, theirs_rps = (median(found[name][1:]) for name in ("ours", "strawberry"))
    return {
        "ours_rps": round(ours_rps, 1),
        "strawberry_rps": round(theirs_rps, 1),
        "ratio_strawberry": round(ours_rps / theirs_rps, 2),
    }


def _for(name: str, wanted: Iterator[Request]) -> Iterator[Request]:
    """The same requests; Strawberry's schema has days as strings."""
    for one in wanted:
        query = one.query if name == "ours" else one.query.replace(": Date", ": String")
        yield Request(one.tenant, query, one.variables, one.is_hot)


@contextmanager
def served(home: Path, module: str, *arguments: str) -> Iterator[str]:
    """A server as a process of its own, in the given home; yields where it answers GraphQL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", module, *arguments, "--port", str(port)]
    environment = os.environ | {"MERCURIOS_HOME": str(home), "MERCURIOS_LOG_LEVEL": "warning"}
    log = (home / f"{module}.log").open("w")
    child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + _STARTED_WITHIN
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > ends:
                    raise SystemExit(f"{module} did not start; see {log.name}") from None
                time.sleep(0.2)
        path = "/graphql" if module == "mercurios" else "/"
        yield f"http://127.0.0.1:{port}{path}"
    finally:
        child.terminate()
        child.wait(30)
        log.close()


def _ask(url: str, token: str, query: str, variables: Any) -> None:
    answer = httpx.post(
        url,
        json={"query": query, "variables": dict(variables)},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    )
    if answer.status_code != httpx.codes.OK or "errors" in answer.json():
        raise SystemExit(f"the server answered {answer.text[:300]}")


def _quantile(sent: Sequence[Sent], at: float, *, is_hot: bool) -> float:
    """In milliseconds."""
    return round(float(np.quantile([one.seconds for one in sent if one.request.is_hot == is_hot], at)) * 1000, 1)


def _hits(url: str) -> dict[str, int]:
    told = httpx.get(url.replace("/graphql", "/metrics"), timeout=30, trust_env=False).text
    lines = [line.split(" ") for line in told.splitlines() if line.startswith("mercurios_api_cache_total")]
    return {name.partition('"')[2].rstrip('"}'): int(float(value)) for name, value in lines}


if __name__ == "__main__":
    main()
