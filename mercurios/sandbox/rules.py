"""Rules: what is not known of the real API, or is too slow for tests, as switches of the whole sandbox."""

from dataclasses import dataclass

from mercurios.tenancy import Filters


@dataclass(frozen=True)
class Rules:
    """Lifetimes in seconds, sizes in rows.

    filters: names of the query parameters by which every listing can be selected, where it has the field (lastChange,
    date). None, as in reality: a parameter that the API does not know is ignored.
    """

    token_seconds: float = 1800
    refresh_seconds: float = 86_400
    page_size: int = 100
    max_page_size: int = 1000
    filters: Filters | None = None
