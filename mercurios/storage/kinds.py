"""The kinds of things an account holds: how each is found, made, and given one aspect of what is declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from mercurios.errors import ConfigError, LakeError
from mercurios.storage.aws import Aws, Client, code, unless
from mercurios.storage.bucket import ASPECTS
from mercurios.storage.documents import Elements, Json, policy, statements

_MISSING = "NoSuchEntity"
"""IAM's word for what is not there."""
_MOST_VERSIONS = 5
"""Of one policy in IAM; the oldest makes room."""
_DATABASE_FIELDS = {
    "CreateTableDefaultPermissions",
    "Description",
    "FederatedDatabase",
    "LocationUri",
    "Name",
    "Parameters",
    "TargetDatabase",
}


@dataclass(frozen=True)
class Resource:
    """One declared thing: aspects in the order in which they are set, each with its elements."""

    kind: str
    name: str
    region: str
    aspects: Mapping[str, Elements]
    path: str = "/"
    arn: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Kind(Protocol):
    """How AWS is asked for one kind of resource.

    whole: aspects in which nothing undeclared stays. born: aspects that it is made with.
    """

    whole: frozenset[str]
    born: frozenset[str]

    def read(self, aws: Aws, resource: Resource) -> Mapping[str, Elements] | None:
        """What is there, by aspect; None when the resource is not."""

    def create(self, aws: Aws, resource: Resource) -> None:
        """Make it with the aspects it is born with."""

    def write(self, aws: Aws, resource: Resource, aspect: str) -> None:
        """Bring one aspect to what is declared."""


class Buckets:
    """S3 buckets. One that is there is never made again, deleted or moved."""

    whole: frozenset[str] = frozenset()
    born: frozenset[str] = frozenset()

    def read(self, aws: Aws, resource: Resource) -> Mapping[str, Elements] | None:
        """Raises LakeError when the bucket is in another region or belongs to somebody else."""
        s3 = aws.s3(resource.region)
        if not self._is_there(aws, s3, resource):
            return None
        return {name: ASPECTS[name].read(s3, resource.name) for name in resource.aspects}

    def create(self, aws: Aws, resource: Resource) -> None:
        """Make the bucket in its region; us-east-1 is the region that must not be named."""
        where = {"CreateBucketConfiguration": {"LocationConstraint": resource.region}}
        s3 = aws.s3(resource.region)
        s3.create_bucket(Bucket=resource.name, **({} if resource.region == "us-east-1" else where))
        s3.get_waiter("bucket_exists").wait(Bucket=resource.name)

    def write(self, aws: Aws, resource: Resource, aspect: str) -> None:
        """Put the declared elements on top of those that are there."""
        ASPECTS[aspect].write(aws.s3(resource.region), resource.name, resource.aspects[aspect])

    def _is_there(self, aws: Aws, s3: Client, resource: Resource) -> bool:
        try:
            region = s3.head_bucket(Bucket=resource.name).get("BucketRegion")
        except ClientError as error:
            if code(error) in {"404", "NoSuchBucket"}:
                return False
            if code(error) in {"403", "AccessDenied"} and _answers(aws.s3(resource.region, owner=False), resource.name):
                raise LakeError(
                    f"{resource} belongs to another account than {aws.account}, whose credentials these are; choose "
                    "another bucket, or the credentials of its owner"
                ) from None
            raise
        if region and region != resource.region:
            raise ConfigError(
                f"{resource} is in {region}, and declared in {resource.region}; a bucket cannot be moved, so declare "
                f"{region}, or name another bucket"
            )
        return True


class Databases:
    """Glue databases, where Iceberg's catalog keeps its tables."""

    whole: frozenset[str] = frozenset()
    born = frozenset({"location", "description"})

    def read(self, aws: Aws, resource: Resource) -> Mapping[str, Elements] | None:
        """Location and description."""
        found = self._found(aws, resource)
        if not found:
            return None
        return {"location": _some(found.get("LocationUri")), "description": _some(found.get("Description"))}

    def create(self, aws: Aws, resource: Resource) -> None:
        """Make the database as it is declared."""
        aws.glue().create_database(DatabaseInput={"Name": resource.name, **self._declared(resource)})

    def write(self, aws: Aws, resource: Resource, aspect: str) -> None:
        """Put the declared fields on top of those that are there."""
        there = {k: v for k, v in self._found(aws, resource).items() if k in _DATABASE_FIELDS}
        aws.glue().update_database(Name=resource.name, DatabaseInput=there | self._declared(resource))

    def _found(self, aws: Aws, resource: Resource) -> dict[str, Any]:
        answer = unless("EntityNotFoundException", aws.glue().get_database, Name=resource.name)
        return dict(answer.get("Database", {}))

    def _declared(self, resource: Resource) -> dict[str, str]:
        return {"LocationUri": resource.aspects["location"][""], "Description": resource.aspects["description"][""]}


class Policies:
    """Managed policies of IAM. A change is a new version; the former ones stay until IAM's fifth."""

    whole = frozenset({"statement"})
    born = whole

    def read(self, aws: Aws, resource: Resource) -> Mapping[str, Elements] | None:
        """The statements of the version that is in force."""
        iam = aws.iam()
        found = unless(_MISSING, iam.get_policy, PolicyArn=resource.arn)
        if not found:
            return None
        version = found["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=resource.arn, VersionId=version)["PolicyVersion"]["Document"]
        return {"statement": statements(document)}

    def create(self, aws: Aws, resource: Resource) -> None:
        """Make the policy with its statements."""
        document = policy(resource.aspects["statement"])
        aws.iam().create_policy(PolicyName=resource.name, Path=resource.path, PolicyDocument=document)

    def write(self, aws: Aws, resource: Resource, aspect: str) -> None:
        """Make the declared statements the version in force."""
        iam = aws.iam()
        versions = iam.list_policy_versions(PolicyArn=resource.arn)["Versions"]
        if len(versions) >= _MOST_VERSIONS:
            old = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
            iam.delete_policy_version(PolicyArn=resource.arn, VersionId=old["VersionId"])
        document = policy(resource.aspects[aspect])
        iam.create_policy_version(PolicyArn=resource.arn, PolicyDocument=document, SetAsDefault=True)


class Roles:
    """Roles of IAM with one inline policy, called like the role."""

    whole = frozenset({"trust", "statement"})
    born = frozenset({"trust"})

    def read(self, aws: Aws, resource: Resource) -> Mapping[str, Elements] | None:
        """Who may take the role, and what it may do; `attached` and `inline` are further policies, none is declared."""
        iam = aws.iam()
        found = unless(_MISSING, iam.get_role, RoleName=resource.name)
        if not found:
            return None
        own = unless(_MISSING, iam.get_role_policy, RoleName=resource.name, PolicyName=resource.name)
        inline = iam.list_role_policies(RoleName=resource.name)["PolicyNames"]
        attached = iam.list_attached_role_policies(RoleName=resource.name)["AttachedPolicies"]
        return {
            "trust": statements(found["Role"]["AssumeRolePolicyDocument"]),
            "statement": statements(own["PolicyDocument"]) if own else {},
            "attached": {one["PolicyArn"]: True for one in attached},
            "inline": {name: True for name in inline if name != resource.name},
        }

    def create(self, aws: Aws, resource: Resource) -> None:
        """Make the role with its trust; what it may do comes with its aspect."""
        trust = policy(resource.aspects["trust"])
        aws.iam().create_role(RoleName=resource.name, Path=resource.path, AssumeRolePolicyDocument=trust)

    def write(self, aws: Aws, resource: Resource, aspect: str) -> None:
        """Replace the trust, or the inline policy."""
        iam, document = aws.iam(), policy(resource.aspects[aspect])
        if aspect == "trust":
            iam.update_assume_role_policy(RoleName=resource.name, PolicyDocument=document)
        else:
            iam.put_role_policy(RoleName=resource.name, PolicyName=resource.name, PolicyDocument=document)


KINDS: Mapping[str, Kind] = {"bucket": Buckets(), "database": Databases(), "policy": Policies(), "role": Roles()}


def _answers(s3: Client, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def _some(value: Json) -> Elements:
    return {} if value is None else {"": value}
