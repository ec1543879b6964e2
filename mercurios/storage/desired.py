"""What shall be there: the declaration, the place and the tenants as resources, in the order in which they are made."""

from collections.abc import Iterable, Iterator

from mercurios.errors import ConfigError
from mercurios.storage.declaration import BUCKET, LAKE, WHOLE, AccessLog, Replica, Rule, area, check_live_data
from mercurios.storage.documents import Elements, Json, statement
from mercurios.storage.kinds import Resource
from mercurios.storage.policies import (
    DATABASE,
    Names,
    bucket_statements,
    check_size,
    log_statements,
    operator_statements,
    replication_statements,
    role_statements,
    tenant_statements,
)

_BLOCKED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
_DESCRIPTION = "Mercurios: the lake's tables, one partition a tenant"


def resources(names: Names, tenants: Iterable[str]) -> tuple[Resource, ...]:
    """Every declared resource; raises ConfigError for a declaration that cannot or must not be carried out."""
    check_live_data(names.declaration, names.place)
    if len(set(names.buckets)) < len(names.buckets):
        raise ConfigError("two of the lake's bucket, its replica and its access log have one name")
    if wrong := [bucket for bucket in names.buckets if not BUCKET.fullmatch(bucket)]:
        raise ConfigError(f"{wrong[0]} is no name of a bucket: at most 63 of a-z, 0-9, dot and hyphen; declare another")
    return (*_buckets(names), *_policies(names, tenants))


def _buckets(names: Names) -> Iterator[Resource]:
    declaration, place = names.declaration, names.place
    if declaration.access_log:
        yield _log_bucket(names, declaration.access_log)
    if declaration.replica:
        yield _replica_bucket(names, declaration.replica)
        yield _replication_role(names, declaration.replica)
    yield _lake_bucket(names)
    aspects = {"location": {"": f"s3://{place.bucket}/{place.prefix}/{DATABASE}"}, "description": {"": _DESCRIPTION}}
    yield Resource("database", DATABASE, declaration.region, aspects)


def _log_bucket(names: Names, log: AccessLog) -> Resource:
    rule = Rule(id="mercurios-access-log", area=WHOLE, expire_days=log.keep_days, noncurrent_days=1)
    aspects = _kept(names, log_statements(names, log.bucket, log.prefix), None, {rule.id: _rule(rule, log.prefix)})
    return Resource("bucket", log.bucket, names.declaration.region, aspects)


def _replica_bucket(names: Names, replica: Replica) -> Resource:
    bucket, key = names.replica_bucket(replica), replica.kms_key
    rules = _rules(names, [rule for rule in names.declaration.lifecycle if rule.area in {LAKE, WHOLE}])
    return Resource("bucket", bucket, replica.region, _kept(names, bucket_statements(names, bucket, key), key, rules))


def _lake_bucket(names: Names) -> Resource:
    declaration, bucket, key = names.declaration, names.place.bucket, names.declaration.encryption.kms_key
    rules = _rules(names, declaration.lifecycle)
    aspects = _kept(names, bucket_statements(names, bucket, key), key, rules)
    if log := declaration.access_log:
        aspects["logging"] = {"": {"bucket": log.bucket, "prefix": log.prefix}}
    if declaration.replica:
        aspects["replication"] = _replication(names, declaration.replica)
    return Resource("bucket", bucket, declaration.region, aspects)


def _kept(names: Names, said: Elements, kms_key: str | None, rules: Elements) -> dict[str, Elements]:
    algorithm = "aws:kms" if kms_key else "AES256"
    return {
        "public access": {"": _BLOCKED},
        "ownership": {"": "BucketOwnerEnforced"},
        "encryption": {"": {"algorithm": algorithm, "key": kms_key, "bucket_key": bool(kms_key)}},
        "versioning": {"": "Enabled"},
        "policy": said,
        "lifecycle": rules,
        "tag": names.declaration.tags,
    }


def _rules(names: Names, rules: Iterable[Rule]) -> Elements:
    return {rule.id: _rule(rule, area(names.declaration, names.place, rule.area)) for rule in rules}


def _rule(rule: Rule, prefix: str) -> Json:
    said: dict[str, Json] = {"Status": "Enabled", "Filter": {"Prefix": prefix}}
    if rule.abort_uploads_days:
        said["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule.abort_uploads_days}
    if rule.noncurrent_days:
        said["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.noncurrent_days}
    if rule.expire_days:
        said["Expiration"] = {"Days": rule.expire_days}
    if rule.expired_delete_markers:
        said["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if rule.transitions:
        moved = sorted((days, storage) for storage, days in rule.transitions.items())
        said["Transitions"] = [{"Days": days, "StorageClass": storage} for days, storage in moved]
    return said


def _replication(names: Names, replica: Replica) -> Elements:
    destination: dict[str, Json] = {
        "Bucket": names.s3(names.replica_bucket(replica)),
        "StorageClass": replica.storage_class,
    }
    rule: dict[str, Json] = {
        "Priority": 1,
        "Filter": {"Prefix": area(names.declaration, names.place, LAKE)},
        "Status": "Enabled",
        "DeleteMarkerReplication": {"Status": "Enabled" if replica.delete_markers else "Disabled"},
        "Destination": destination,
    }
    if replica.kms_key:
        rule["SourceSelectionCriteria"] = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
        destination["EncryptionConfiguration"] = {"ReplicaKmsKeyID": replica.kms_key}
    return {"role": names.iam("role", names.named("replication")), f"rule {names.named('replica')}": rule}


def _replication_role(names: Names, replica: Replica) -> Resource:
    name = names.named("replication")
    trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
    aspects = {"trust": {"LetS3Replicate": statement(trust)}, "statement": replication_statements(names, replica)}
    return Resource("role", name, names.declaration.region, aspects, names.path, names.iam("role", name))


def _policies(names: Names, tenants: Iterable[str]) -> Iterator[Resource]:
    said = {role: role_statements(names, duty) for role, duty in names.declaration.roles.items()}
    said["operator"] = operator_statements(names)
    said |= {f"tenant-{tenant}": tenant_statements(names, tenant) for tenant in sorted(tenants)}
    for role, elements in said.items():
        name = names.named(role)
        check_size(name, elements)
        arn = names.iam("policy", name)
        yield Resource("policy", name, names.declaration.region, {"statement": elements}, names.path, arn)
