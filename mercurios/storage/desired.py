"""What shall be there: the declaration, the place and the tenants as resources, in the order in which they are made."""

from collections.abc import Iterable, Iterator

from mercurios.errors import ConfigError
from mercurios.storage.declaration import BUCKET, LAKE, WHOLE, Rule, area, check_live_data
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
    if len(names.buckets) < sum(map(bool, (True, names.declaration.replica, names.declaration.access_log))):
        raise ConfigError("two of the lake's bucket, its replica and its access log have one name")
    if wrong := [bucket for bucket in names.buckets if not BUCKET.fullmatch(bucket)]:
        raise ConfigError(f"{wrong[0]} is no name of a bucket: at most 63 of a-z, 0-9, dot and hyphen; declare another")
    return (*_buckets(names), *_policies(names, tenants))


def _buckets(names: Names) -> Iterator[Resource]:
    declaration, place = names.declaration, names.place
    if log := declaration.access_log:
        said = log_statements(names, log.bucket, log.prefix)
        rule = Rule(id="mercurios-access-log", area=WHOLE, expire_days=log.keep_days, noncurrent_days=1)
        aspects = _kept(names, said, None, {rule.id: _rule(rule, log.prefix)})
        yield Resource("bucket", log.bucket, declaration.region, aspects)
    if declaration.replica and names.replica:
        key = declaration.replica.kms_key
        rules = _rules(names, [rule for rule in declaration.lifecycle if rule.area in {LAKE, WHOLE}])
        aspects = _kept(names, bucket_statements(names, names.replica, key), key, rules)
        yield Resource("bucket", names.replica, declaration.replica.region, aspects)
        yield _replication_role(names)
    key = declaration.encryption.kms_key
    aspects = _kept(names, bucket_statements(names, place.bucket, key), key, _rules(names, declaration.lifecycle))
    if log:
        aspects["logging"] = {"": {"bucket": log.bucket, "prefix": log.prefix}}
    if declaration.replica:
        aspects["replication"] = _replication(names)
    yield Resource("bucket", place.bucket, declaration.region, aspects)
    location = f"s3://{place.bucket}/{place.prefix}/{DATABASE}"
    yield Resource(
        "database", DATABASE, declaration.region, {"location": {"": location}, "description": {"": _DESCRIPTION}}
    )


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


def _replication(names: Names) -> Elements:
    replica = names.declaration.replica
    if not replica or not names.replica:
        return {}
    destination: dict[str, Json] = {"Bucket": names.s3(names.replica), "StorageClass": replica.storage_class}
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


def _replication_role(names: Names) -> Resource:
    name = names.named("replication")
    trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
    aspects = {"trust": {"LetS3Replicate": statement(trust)}, "statement": replication_statements(names)}
    return Resource(
        "role", name, names.declaration.region, aspects, f"/{names.declaration.name}/", names.iam("role", name)
    )


def _policies(names: Names, tenants: Iterable[str]) -> Iterator[Resource]:
    said = {role: role_statements(names, duty) for role, duty in names.declaration.roles.items()}
    said["operator"] = operator_statements(names)
    said |= {f"tenant-{tenant}": tenant_statements(names, tenant) for tenant in sorted(tenants)}
    for role, elements in said.items():
        name = names.named(role)
        check_size(name, elements)
        path, arn = f"/{names.declaration.name}/", names.iam("policy", name)
        yield Resource("policy", name, names.declaration.region, {"statement": elements}, path, arn)
