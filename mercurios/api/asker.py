"""Who asks, and with what it is answered: what every resolver finds in `info.context`.

    asker = Asker(identity, backend)
    asker.session.query("select name from marts.dim_tenants")

Every resolver reads the one session of its request, so all fields of a request see the same tenant and release.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mercurios.api.access import Identity
from mercurios.api.access.roles import Need, permit
from mercurios.api.backend import Backend
from mercurios.errors import BadRequest
from mercurios.journal import Journal
from mercurios.lake import Release
from mercurios.metrics import SemanticLayer
from mercurios.serving import Session

LOCALES = ("de", "en")
Resolvers = Mapping[str, Callable[..., Any]]
"""What stands behind fields of the schema, by `Type.field`."""


@dataclass(frozen=True)
class Asker:
    """Who asks, and with what it is answered; lives for one request."""

    identity: Identity
    backend: Backend

    @cached_property
    def session(self) -> Session:
        """The one session of this request."""
        return self.backend.sessions.get(self.identity.tenant)

    @property
    def semantics(self) -> SemanticLayer:
        """The metric definitions of the session's release."""
        return self.backend.semantics(self.session.release)

    @property
    def release_read(self) -> Release | None:
        """The release that was read, if one was."""
        return self.session.release if "session" in self.__dict__ else None

    @cached_property
    def currency(self) -> str:
        """ISO 4217 code of the merchant's money."""
        return str(self.session.query("select currency from marts.dim_tenants")["currency"][0].as_py())

    @property
    def journal(self) -> Journal:
        """Where it is written what the merchant's people tell."""
        return self.backend.journal(self.identity.tenant)

    @property
    def author(self) -> Mapping[str, str]:
        """Who tells something: the role, and the subject, which is a pseudonym."""
        return {"role": self.identity.role, "subject": self.identity.subject}

    def permit_metrics(self, names: Sequence[str]) -> None:
        """Raise Forbidden for metrics that need a higher role; unknown ones are left to the semantic layer."""
        permit(self.identity, [Need(m.name, m.needs) for m in self.semantics.catalog() if m.name in names])


def language(locale: str | None) -> Literal["de", "en"] | None:
    """`de` or `en`, also from `de-AT`; None when none was given. Raises BadRequest for another one."""
    if locale is None:
        return None
    named = locale.replace("_", "-").split("-")[0].lower()
    if named not in LOCALES:
        raise BadRequest(f"locale {locale[:20]!r}: expected one of {', '.join(LOCALES)}")
    return "de" if named == "de" else "en"
