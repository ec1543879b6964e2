"""Requests as a day brings them: open-loop at a given rate, or as fast as a few connections get them answered.

    sent = asyncio.run(at_rate(url, requests, per_second=100))

Open-loop means that a request is sent when it is due, whether those before it are answered or not, and its time counts
from when it was due: a server that falls behind cannot hide it.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any

import aiohttp

HOT_SHARE = 0.8
DOCUMENTS: Sequence[tuple[str, Mapping[str, Any]]] = (
    (
        "query($names: [String!]!, $to: Date) { metrics(names: $names, to: $to) { columns rows } }",
        {"names": ["revenue", "receipts", "units"], "to": "2017-12-31"},
    ),
    (
        '{ metrics(names: ["revenue"], groupBy: ["category"], orderBy: [{column: "revenue", descending: true}],'
        " limit: 10) { columns rows } }",
        {},
    ),
    ('{ metrics(names: ["revenue"], grain: WEEK, limit: 60) { columns rows } }', {}),
    ('{ forecast(level: TOTAL, key: "total") { points { date mean lo80 hi80 } model cutoff } }', {}),
    ("{ tenant { name currency release { id asOf } } }", {}),
)
"""What a page asks again and again."""
_COLD = (
    "query($names: [String!]!, $groupBy: [String!], $from: Date, $to: Date)"
    " { metrics(names: $names, groupBy: $groupBy, from: $from, to: $to, limit: 20) { columns rows } }"
)
_METRICS = ("revenue", "receipts", "units", "net_revenue", "average_receipt", "gross_profit", "gross_margin")
_DIMENSIONS = ("category", "department", "branch", "product_type")


@dataclass(frozen=True)
class Request:
    """One request and whether it is of those that come again."""

    tenant: str
    query: str
    variables: Mapping[str, Any]
    is_hot: bool


@dataclass(frozen=True)
class Sent:
    """What became of a request: seconds from when it was due, and what was wrong, nothing where all is well."""

    request: Request
    seconds: float
    wrong: str


def requests(tenants: Sequence[str], seed: int) -> Iterator[Request]:
    """Four of five are one of `DOCUMENTS`; the fifth was never asked before: other metrics, dimensions and days."""
    rng = random.Random(seed)
    while True:
        tenant = rng.choice(tenants)
        if rng.random() < HOT_SHARE:
            query, variables = rng.choice(DOCUMENTS)
            yield Request(tenant, query, variables, is_hot=True)
            continue
        first = date(2017, 1, 1) + timedelta(days=rng.randrange(300))
        asked = {
            "names": rng.sample(_METRICS, 2),
            "groupBy": [rng.choice(_DIMENSIONS)],
            "from": str(first),
            "to": str(first + timedelta(days=rng.randrange(1, 60))),
        }
        yield Request(tenant, _COLD, asked, is_hot=False)


async def at_rate(
    url: str, tokens: Mapping[str, str], wanted: Iterator[Request], *, per_second: float, seconds: float
) -> list[Sent]:
    """Send so many a second for so long."""
    async with _session() as session, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        tasks = []
        for number, request in enumerate(islice(wanted, int(per_second * seconds))):
            due = started + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(group.create_task(_send(session, url, tokens, request, due)))
    return [task.result() for task in tasks]


async def at_most(
    url: str, tokens: Mapping[str, str], wanted: Iterator[Request], *, connections: int, seconds: float
) -> list[Sent]:
    """Keep so many connections busy for so long."""
    sent: list[Sent] = []
    ends = time.perf_counter() + seconds
    async with _session() as session:

        async def keep_busy() -> None:
            while time.perf_counter() < ends:
                sent.append(await _send(session, url, tokens, next(wanted), time.perf_counter()))

        await asyncio.gather(*(keep_busy() for _ in range(connections)))
    return sent


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=64), timeout=aiohttp.ClientTimeout(total=30), trust_env=False
    )


async def _send(
    session: aiohttp.ClientSession, url: str, tokens: Mapping[str, str], request: Request, due: float
) -> Sent:
    body = {"query": request.query, "variables": dict(request.variables)}
    headers = {"Authorization": f"Bearer {tokens[request.tenant]}"}
    try:
        async with session.post(url, json=body, headers=headers) as answer:
            found = await answer.read()
            wrong = "" if answer.status == 200 and b'"errors"' not in found else found[:200].decode()
    except (aiohttp.ClientError, TimeoutError) as error:
        wrong = type(error).__name__
    return Sent(request, time.perf_counter() - due, wrong)
