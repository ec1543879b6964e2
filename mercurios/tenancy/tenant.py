"""What is known of a tenant."""

from collections.abc import Mapping
from dataclasses import dataclass

from mercurios.secrets import SecretRef


@dataclass(frozen=True)
class Filters:
    """Names of the query parameters by which a merchant's API selects records; None where it does not.

    None of them is verified for ProHandel (reference, section 1.1), so a tenant file has to name them.
    """

    changed_from: str | None = None
    day_from: str | None = None
    day_until: str | None = None


@dataclass(frozen=True)
class ProHandelSource:
    """How one merchant's ProHandel is reached. `auth_url` is a host; the API's own host comes with the token.

    calls_per_minute: requests are spread so that no more are sent. calls_per_run: after so many a run stops and the
    next one goes on from there; None: as many as it takes.
    """

    auth_url: str
    api_key: SecretRef
    api_secret: SecretRef
    page_size: int = 1000
    filters: Filters = Filters()
    calls_per_minute: int | None = None
    calls_per_run: int | None = None


@dataclass(frozen=True)
class FilesSource:
    """A folder, or `s3://bucket/prefix`, into which CSV, Parquet and Excel files of the entities are dropped."""

    url: str


@dataclass(frozen=True)
class Sla:
    """What a merchant is promised: share of sound records, age of the newest good batch in hours."""

    quality: float = 0.98
    freshness_hours: float = 26.0


@dataclass(frozen=True)
class Tenant:
    """A merchant. `vat_rates` maps ProHandel tax numbers to fractions (0.19 is 19 %).

    calendar: whose public holidays count, ISO 3166-2 such as DE-BY or a country; None: nobody's.
    """

    id: str
    name: str
    currency: str
    time_zone: str
    locale: str
    vat_rates: Mapping[int, float]
    source: ProHandelSource | FilesSource
    sla: Sla = Sla()
    calendar: str | None = None
