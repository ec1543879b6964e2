"""Merchants of the sandbox: what they have, how they are reached, what they are like.

Merchant("north", api_key, api_secret, {"branch": pl.DataFrame({"number": [1], "name1": ["Store 1"]})})
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from mercurios.errors import ConfigError
from mercurios.sandbox.faults import Faults
from mercurios.sandbox.shapes import SHAPES
from mercurios.tenancy import TENANT_ID

Entities = Mapping[str, pl.DataFrame]
"""Frames by entity; columns named as the API's fields, rows in the order in which the API lists them."""


@dataclass(frozen=True)
class Profile:
    """What a tenant file says of a merchant; `vat_rates` maps tax numbers to fractions, `derived` says what is made.

    origin: where the data comes from, so that no other data is put in its place unasked.
    """

    title: str = "Sandbox"
    currency: str = "EUR"
    time_zone: str = "Europe/Berlin"
    locale: str = "de"
    vat_rates: Mapping[int, float] = field(default_factory=lambda: {1: 0.19, 2: 0.07})
    derived: str = "Nothing is derived: the rows are served as they are."
    origin: str = ""


@dataclass(frozen=True)
class Merchant:
    """One merchant; raises ConfigError for a name that is no tenant id and for an entity the API does not have."""

    name: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    entities: Entities = field(repr=False)
    profile: Profile = field(default_factory=Profile)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        if not TENANT_ID.fullmatch(self.name):
            raise ConfigError(
                f"merchant name {self.name!r}: expected lower case letters, digits and _, starting with a letter"
            )
        if unknown := sorted(set(self.entities) - set(SHAPES)):
            raise ConfigError(
                f"merchant {self.name}: unknown entities {', '.join(unknown)}; the API has {', '.join(sorted(SHAPES))}"
            )
