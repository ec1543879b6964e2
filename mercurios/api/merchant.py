"""The merchant and the release that is being read.

A count over all merchants would tell one about the others, so tables are counted in the session.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Asker, Resolvers
from mercurios.errors import NoRelease
from mercurios.lake import Release
from mercurios.serving import Session


@dataclass(frozen=True)
class TableView:
    """A published table and how many of its rows are the tenant's."""

    name: str
    rows: int


@dataclass(frozen=True)
class ReleaseView:
    """A release as one tenant sees it."""

    release: Release
    session: Session

    @property
    def id(self) -> str:
        """Identifier of the release."""
        return self.release.id

    @property
    def at(self) -> datetime:
        """When it was published."""
        return self.release.at

    @property
    def tables(self) -> tuple[TableView, ...]:
        """Tables with the tenant's rows."""
        return tuple(TableView(table.name, self.session.count(table.name)) for table in self.release.tables)


def _tenant(_: object, info: GraphQLResolveInfo) -> Mapping[str, Any]:
    asker: Asker = info.context
    rows = asker.session.query("select name, currency, time_zone, locale from marts.dim_tenants").to_pylist()
    if not rows:
        raise NoRelease(f"release {asker.session.release.id} holds nothing of this tenant; run `mercurios pipeline`")
    row = rows[0]
    release = ReleaseView(asker.session.release, asker.session)
    return {**row, "id": asker.session.tenant_id, "timeZone": row["time_zone"], "release": release}


RESOLVERS: Resolvers = {
    "Query.tenant": _tenant,
    "Tenant.role": lambda _, info: info.context.identity.role.upper(),
    "Release.asOf": lambda view, _: view.release.as_of,
}
