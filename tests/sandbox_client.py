"""How the sandbox's own tests make merchants, log in and read pages."""

from typing import Any

import httpx
import polars as pl

from mercurios.sandbox import Merchant, RunningSandbox

Record = dict[str, Any]


def small(name: str, rows: int = 7, **options: Any) -> Merchant:
    """A merchant with `rows` branches and as many sale lines."""
    numbers = list(range(1, rows + 1))
    entities = {
        "branch": pl.DataFrame({"number": numbers, "name1": [f"{name} {number}" for number in numbers]}),
        "sale": pl.DataFrame({"receiptNumber": numbers, "articleNumber": [7] * rows, "quantity": numbers}),
    }
    return Merchant(name, f"{name}-key", f"{name}-secret", entities, **options)


def login(sandbox: RunningSandbox, name: str, secret: str | None = None) -> httpx.Response:
    """The answer to a login with the merchant's key."""
    credentials = {"apiKey": f"{name}-key", "secret": secret or f"{name}-secret"}
    return httpx.post(f"{sandbox.auth_url}/api/v4/token", json=credentials)


def client(sandbox: RunningSandbox, name: str) -> httpx.Client:
    """A client that is logged in."""
    answer = login(sandbox, name).json()
    bearer = {"Authorization": f"Bearer {answer['token']['token']['value']}"}
    return httpx.Client(base_url=f"{answer['serverUrl']}/api/v2/", headers=bearer)


def every_page(api: httpx.Client, entity: str, size: int, **parameters: str) -> list[Record]:
    """All records of an entity; nothing may go wrong on the way."""
    records: list[Record] = []
    page, more = 1, "True"
    while more == "True":
        answer = api.get(entity, params={"page": page, "pagesize": size, **parameters}).raise_for_status()
        assert answer.headers["X-Page"] == str(page)
        records += answer.json()
        more, page = answer.headers["X-More-Pages-Available"], page + 1
    return records
