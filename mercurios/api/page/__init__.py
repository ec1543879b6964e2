"""The page for a shop owner: files of this folder, and the script that draws charts.

    asset("page.css").body

No build step and nothing from elsewhere: the browser asks this server alone.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mercurios import charts

_KINDS: Mapping[str, str] = {
    "html": "text/html; charset=UTF-8",
    "css": "text/css; charset=UTF-8",
    "js": "text/javascript; charset=UTF-8",
    "svg": "image/svg+xml",
    "graphql": "text/plain; charset=UTF-8",
}
CHART_SCRIPT = "chart.js"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'none'"
)
"""What a browser may load for the page: nothing that this server did not send."""


@dataclass(frozen=True)
class Asset:
    """One file: its media type, its bytes, and a tag that changes with them."""

    kind: str
    body: bytes
    tag: str


def names() -> tuple[str, ...]:
    """All assets."""
    folder = files(__name__)
    found = [item.name for item in folder.iterdir() if item.name.rpartition(".")[2] in _KINDS]
    operations = [f"operations/{item.name}" for item in folder.joinpath("operations").iterdir()]
    return tuple(sorted([*found, *operations, CHART_SCRIPT]))


@cache
def asset(name: str) -> Asset | None:
    """The asset of that name, or None when there is none. Making the chart script takes seconds, once."""
    if name not in names():
        return None
    body = charts.page_script().encode() if name == CHART_SCRIPT else files(__name__).joinpath(name).read_bytes()
    return Asset(_KINDS[name.rpartition(".")[2]], body, f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"')
