"""Who may do what: the statements of bucket policies, and of the policies of roles and tenants.

Iceberg's layout is what the conditions lean on: `PREFIX/lake/TABLE/data/tenant_id=TENANT/FILE` holds rows of one
tenant, `PREFIX/lake/TABLE/metadata/FILE` names files and snapshots of all of them, `PREFIX/releases/ID/NAME` are the
files of a release.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mercurios.errors import ConfigError
from mercurios.storage.declaration import PROBE, Declaration, Place, Replica, Role, area
from mercurios.storage.documents import MOST_CHARACTERS, Elements, Json, policy, statement
from mercurios.tables import TABLES

DATABASE = "lake"
"""Iceberg's namespace: the Glue database, and the folder of the tables."""
_READ_GLUE = ["glue:GetDatabase", "glue:GetTable", "glue:GetTables"]
_WRITE_GLUE = ["glue:CreateTable", "glue:UpdateTable"]
_SSE = "s3:x-amz-server-side-encryption"


@dataclass(frozen=True)
class Names:
    """ARNs of one lake; `account` and `partition` are those of who asks."""

    declaration: Declaration
    place: Place
    account: str
    partition: str = "aws"

    @property
    def path(self) -> str:
        """Where the policies and roles are in IAM."""
        return f"/{self.declaration.name}/"

    @property
    def buckets(self) -> tuple[str, ...]:
        """Every declared bucket: the lake's, the replica, the one of the access log."""
        replica, log = self.declaration.replica, self.declaration.access_log
        return (self.place.bucket, *([self.replica_bucket(replica)] if replica else ()), *([log.bucket] if log else ()))

    def replica_bucket(self, replica: Replica) -> str:
        """Name of the bucket in the second region."""
        return replica.bucket or f"{self.place.bucket}-replica"

    def s3(self, bucket: str, key: str | None = None) -> str:
        """A bucket, or the objects of a key pattern in it."""
        return f"arn:{self.partition}:s3:::{bucket}" + ("" if key is None else f"/{key}")

    def data(self, *keys: str) -> list[str]:
        """Objects under the lake's prefix."""
        return [self.s3(self.place.bucket, f"{self.place.prefix}/{key}") for key in keys]

    def iam(self, kind: str, name: str) -> str:
        """A policy or role of this lake."""
        return f"arn:{self.partition}:iam::{self.account}:{kind}{self.path}{name}"

    def named(self, role: str) -> str:
        """Name of the policy or role of that duty."""
        return f"{self.declaration.name}-{role}"

    def glue(self) -> list[str]:
        """Catalog, database and tables."""
        here = f"arn:{self.partition}:glue:{self.declaration.region}:{self.account}"
        return [f"{here}:catalog", f"{here}:database/{DATABASE}", f"{here}:table/{DATABASE}/*"]


def allow(actions: list[str], resources: list[str], **condition: Mapping[str, Json]) -> Json:
    """A statement of an identity's policy."""
    return statement(
        {"Effect": "Allow", "Action": actions, "Resource": resources} | ({"Condition": condition} if condition else {})
    )


def _deny(names: Names, bucket: str, action: str, **condition: Mapping[str, Json]) -> Json:
    what = [names.s3(bucket, "*")] if action == "s3:PutObject" else [names.s3(bucket), names.s3(bucket, "*")]
    return statement({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": what, "Condition": condition})


def bucket_statements(names: Names, bucket: str, kms_key: str | None) -> Elements:
    """Plain HTTP, and writes that ask for another encryption than the bucket's, are denied to everybody.

    A write that asks for none is let through: S3 encrypts it as the bucket says, and neither pyarrow nor s3fs asks.
    """
    asked = {"Null": {_SSE: "false"}}
    wanted = {f"{_SSE}-aws-kms-key-id": kms_key} if kms_key else {_SSE: "AES256"}
    customer = {f"{_SSE}-customer-algorithm": "false"}
    return {
        "DenyPlainHttp": _deny(names, bucket, "s3:*", Bool={"aws:SecureTransport": "false"}),
        "DenyOtherEncryption": _deny(names, bucket, "s3:PutObject", StringNotEquals=wanted, **asked),
        "DenyCustomerKeys": _deny(names, bucket, "s3:PutObject", Null=customer),
    }


def log_statements(names: Names, bucket: str, prefix: str) -> Elements:
    """S3 may deliver the lake's access log, and nobody may speak plain HTTP."""
    delivery = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": names.s3(bucket, f"{prefix}*"),
        "Condition": {
            "ArnLike": {"aws:SourceArn": names.s3(names.place.bucket)},
            "StringEquals": {"aws:SourceAccount": names.account},
        },
    }
    plain = _deny(names, bucket, "s3:*", Bool={"aws:SecureTransport": "false"})
    return {"AllowLogDelivery": statement(delivery), "DenyPlainHttp": plain}


def role_statements(names: Names, role: Role) -> Elements:
    """A role reads every table of every tenant, and writes the tables of its verbs with releases and their files."""
    place = names.place
    beside = [area(names.declaration, place, name) for name in role.reads]
    objects = names.data("*") + [names.s3(place.bucket, f"{prefix}*") for prefix in beside]
    prefixes = [f"{place.prefix}/*", *(f"{prefix}*" for prefix in beside)]
    said = {
        "ReadObjects": allow(["s3:GetObject"], objects),
        "ListOwnKeys": allow(["s3:ListBucket"], [names.s3(place.bucket)], StringLike={"s3:prefix": prefixes}),
        "ReadCatalog": allow(_READ_GLUE, names.glue()),
    }
    if role.writes:
        tables = [table.name for table in TABLES.values() if table.origin in role.writes]
        every = len(tables) == len(TABLES)
        keys = ["*"] if every else [f"{DATABASE}/{name}/*" for name in (*tables, "releases")] + ["releases/*"]
        said["WriteObjects"] = allow(["s3:AbortMultipartUpload", "s3:PutObject"], names.data(*keys))
        catalog, database, everything = names.glue()
        owned = [everything] if every else [f"{everything[:-1]}{name}" for name in (*tables, "releases")]
        said["WriteCatalog"] = allow(_WRITE_GLUE, [catalog, database, *owned])
    if role.deletes:
        said["DeleteExpired"] = allow(["s3:DeleteObject"], names.data("*"))
    return said | _key_statements(names, writes=bool(role.writes))


def tenant_statements(names: Names, tenant: str) -> Elements:
    """One tenant's rows and index, and what every reader needs to find them: metadata, releases, metric definitions.

    Metadata tells the ids of other tenants, how many rows they have, and the bounds of their columns where Iceberg
    keeps them.
    """
    rows, metadata = f"{DATABASE}/*/data/tenant_id={tenant}/*", f"{DATABASE}/*/metadata/*"
    releases = f"{DATABASE}/releases/data/*"
    files = [f"releases/*/index/{tenant}.faiss", "releases/*/semantic_manifest.json"]
    listed = {"s3:prefix": [f"{names.place.prefix}/{rows}"]}
    return {
        "ReadOwnRows": allow(["s3:GetObject"], names.data(rows)),
        "ReadMetadata": allow(["s3:GetObject"], names.data(metadata, releases, *files)),
        "ListOwnRows": allow(["s3:ListBucket"], [names.s3(names.place.bucket)], StringLike=listed),
        "ReadCatalog": allow(_READ_GLUE, names.glue()),
    } | _key_statements(names, writes=False)


def replication_statements(names: Names, replica: Replica) -> Elements:
    """What S3 needs to copy the lake's prefix to the second region, and nothing besides."""
    key = names.declaration.encryption.kms_key
    versions = ["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"]
    copies = ["s3:ReplicateObject", "s3:ReplicateTags", *(["s3:ReplicateDelete"] if replica.delete_markers else [])]
    said = {
        "ReadSource": allow(["s3:GetReplicationConfiguration", "s3:ListBucket"], [names.s3(names.place.bucket)]),
        "ReadVersions": allow(versions, names.data("*")),
        "WriteReplica": allow(copies, [names.s3(names.replica_bucket(replica), f"{names.place.prefix}/*")]),
    }
    if key and replica.kms_key:
        said["DecryptSource"] = allow(["kms:Decrypt"], [key], **_through_s3(names.declaration.region))
        said["EncryptReplica"] = allow(["kms:Encrypt"], [replica.kms_key], **_through_s3(replica.region))
    return said


def operator_statements(names: Names) -> Elements:
    """What `mercurios lake plan`, `apply` and `verify` call; of the data only the probe."""
    kept, probe = names.declaration.name, names.s3(names.place.bucket, f"{PROBE}*")
    role = names.iam("role", names.named("replication"))
    said = {
        "KeepBuckets": allow([f"s3:{action}" for action in _BUCKET_ACTIONS], [names.s3(b) for b in names.buckets]),
        "KeepDatabase": allow(["glue:CreateDatabase", "glue:GetDatabase", "glue:UpdateDatabase"], names.glue()[:2]),
        "KeepPolicies": allow([f"iam:{action}" for action in _POLICY_ACTIONS], [names.iam("policy", f"{kept}-*")]),
        "FindPolicies": allow(["iam:ListPolicies"], ["*"]),  # IAM knows no narrower resource for it
        "Probe": allow([f"s3:{action}" for action in _PROBE_ACTIONS], [probe]),
    }
    if names.declaration.replica:
        passed = {"iam:PassedToService": "s3.amazonaws.com"}
        said["KeepReplicationRole"] = allow([f"iam:{action}" for action in _ROLE_ACTIONS], [role])
        said["HandOverReplicationRole"] = allow(["iam:PassRole"], [role], StringEquals=passed)
    return said | _key_statements(names, writes=True)


def check_size(name: str, elements: Elements) -> None:
    """Raise ConfigError when IAM would not take the policy."""
    size = len(policy(elements))
    if size > MOST_CHARACTERS:
        raise ConfigError(f"policy {name} has {size} characters and IAM takes {MOST_CHARACTERS}; shorten its names")


def _through_s3(region: str) -> dict[str, Mapping[str, Json]]:
    return {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}


def _key_statements(names: Names, *, writes: bool) -> Elements:
    key = names.declaration.encryption.kms_key
    if not key:
        return {}
    actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])]
    return {"UseKey": allow(actions, [key], **_through_s3(names.declaration.region))}


_BUCKET_ACTIONS = (
    "CreateBucket",
    "GetBucketLogging",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPublicAccessBlock",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetEncryptionConfiguration",
    "GetLifecycleConfiguration",
    "GetReplicationConfiguration",
    "ListBucket",
    "ListBucketVersions",
    "PutBucketLogging",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutEncryptionConfiguration",
    "PutLifecycleConfiguration",
    "PutReplicationConfiguration",
)
_PROBE_ACTIONS = ("DeleteObjectVersion", "GetObject", "PutObject")
_POLICY_ACTIONS = (
    "CreatePolicy",
    "CreatePolicyVersion",
    "DeletePolicyVersion",
    "GetPolicy",
    "GetPolicyVersion",
    "ListPolicyVersions",
)
_ROLE_ACTIONS = (
    "CreateRole",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListRolePolicies",
    "PutRolePolicy",
    "UpdateAssumeRolePolicy",
)
