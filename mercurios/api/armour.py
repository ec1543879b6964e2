"""What one request may be and cost, and how long it may take: chosen once, by whoever starts the API.

make_app(backend, access, armour=Armour(deadline_seconds=5))
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mercurios.errors import ConfigError

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Armour:
    """Limits of one service.

    deadline_seconds: of a request, waiting for a worker included. request_points, tenant_points: what one request, and
    the requests of one tenant in a minute, may cost (`@cost` in the schema). introspection: the lowest role that may
    ask for the schema. allow_list: folder of the only documents that are answered, besides the dashboard's; None for
    any. origins: of pages elsewhere that may ask, e.g. `https://shop.example.com`.
    """

    deadline_seconds: float = 10.0
    request_points: int = 20_000
    tenant_points: int = 600_000
    introspection: str = "analyst"
    allow_list: Path | None = None
    origins: frozenset[str] = frozenset()


USUAL = Armour()


def origins(text: str) -> frozenset[str]:
    """Comma-separated origins as browsers send them; raises ConfigError for `*`, a path or anything else."""
    named = frozenset(one.strip() for one in text.split(",") if one.strip())
    wrong = [one for one in named if not _ORIGIN.fullmatch(one)]
    if wrong:
        raise ConfigError(
            f"MERCURIOS_ORIGINS {wrong[0]!r}: expected origins like https://shop.example.com, without a path"
        )
    return named
