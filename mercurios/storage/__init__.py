"""The lake's AWS account: buckets, encryption, access, lifecycle, replica and policies, kept as they are declared.

    storage = Storage.open("s3://acme-lake/prod", tenants=("north", "south"))
    print(*storage.plan().changes, sep="\\n")
    storage.apply(print)
    storage.verify()

It compares what is declared with what AWS returns, makes the difference, and deletes nothing that is not declared.
Rows are no concern of it: files that no release names any more are removed by the lake itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercurios.storage import planning
from mercurios.storage.aws import Aws
from mercurios.storage.declaration import DECLARATION, Place, read_declaration
from mercurios.storage.desired import resources
from mercurios.storage.kinds import Resource
from mercurios.storage.planning import Change, Plan, Undeclared
from mercurios.storage.policies import Names
from mercurios.storage.verification import Check, Outcome, hazards, probe

__all__ = ["DECLARATION", "Change", "Check", "Outcome", "Place", "Plan", "Storage", "Undeclared", "read_declaration"]


@dataclass(frozen=True)
class Storage:
    """One lake in one account. Nothing is asked of AWS until it is opened."""

    aws: Aws
    names: Names
    resources: tuple[Resource, ...]

    @classmethod
    def open(
        cls, lake_url: str, tenants: Iterable[str] = (), declaration: Path | None = None, session: Any = None
    ) -> "Storage":
        """Read the declaration and ask AWS who is calling; raises ConfigError and LakeError."""
        place, declared = Place.parse(lake_url), read_declaration(declaration)
        aws = Aws.open(declared.region, session)
        names = Names(declared, place, aws.account, aws.partition)
        return cls(aws, names, resources(names, tenants))

    def plan(self) -> Plan:
        """What would be changed; changes nothing."""
        return planning.plan(self.aws, self.resources, self.names.path)

    def apply(self, made: Callable[[Change], None]) -> Plan:
        """Make the changes, tell `made` of each, and look again; raises LakeError when something does not stay."""
        done = planning.apply(self.aws, self.resources, self.names.path, made)
        if done.changes:
            planning.require_settled(self.aws, self.resources, self.names.path)
        return done

    def verify(self, *, probed: bool = True) -> tuple[Check, ...]:
        """Hold the account against its declaration, and try the data's path with an object that is deleted again."""
        found = self.plan()
        kept = [Check("declaration", Outcome.DEVIATION, str(change)) for change in found.changes]
        kept = kept or [Check("declaration", Outcome.KEPT, f"{len(self.resources)} resources are as declared")]
        return (*kept, *hazards(self.names, found.undeclared), *(probe(self.aws, self.names) if probed else ()))
