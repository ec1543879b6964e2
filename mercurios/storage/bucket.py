"""The aspects of a bucket: how each is read from S3, and written back without losing what is not declared.

An aspect has elements by name; one that is a single value has the name "". S3 replaces policies, lifecycles,
replications and tags as a whole, so what is there is read first and what is not ours put back with it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from mercurios.storage.aws import Client, code, unless
from mercurios.storage.documents import Elements, Json, policy, statements


@dataclass(frozen=True)
class Aspect:
    """How one aspect is read, and how elements are put on top of what is there."""

    read: Callable[[Client, str], Elements]
    write: Callable[[Client, str, Elements], Any]


def _public_access(s3: Client, bucket: str) -> Elements:
    answer = unless("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=bucket)
    blocked = answer.get("PublicAccessBlockConfiguration")
    return {"": blocked} if blocked else {}


def _ownership(s3: Client, bucket: str) -> Elements:
    answer = unless("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, Bucket=bucket)
    rules = answer.get("OwnershipControls", {}).get("Rules", [])
    return {"": rules[0]["ObjectOwnership"]} if rules else {}


def _versioning(s3: Client, bucket: str) -> Elements:
    status = s3.get_bucket_versioning(Bucket=bucket).get("Status")
    return {"": status} if status else {}


def _encryption_rule(s3: Client, bucket: str) -> dict[str, Json]:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    answer = unless(missing, s3.get_bucket_encryption, Bucket=bucket)
    return dict(next(iter(answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])), {}))


def _encryption(s3: Client, bucket: str) -> Elements:
    rule = _encryption_rule(s3, bucket)
    if not rule:
        return {}
    by = rule["ApplyServerSideEncryptionByDefault"]
    kms = by["SSEAlgorithm"] != "AES256"
    bucket_key = kms and rule.get("BucketKeyEnabled", False)  # it means nothing to SSE-S3
    return {"": {"algorithm": by["SSEAlgorithm"], "key": by.get("KMSMasterKeyID"), "bucket_key": bucket_key}}


def _put_encryption(s3: Client, bucket: str, elements: Elements) -> None:
    value = elements[""]
    by = {"SSEAlgorithm": value["algorithm"]} | ({"KMSMasterKeyID": value["key"]} if value["key"] else {})
    rule = _encryption_rule(s3, bucket) | {
        "ApplyServerSideEncryptionByDefault": by,
        "BucketKeyEnabled": value["bucket_key"],
    }
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _policy(s3: Client, bucket: str) -> Elements:
    answer = unless("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    return statements(answer["Policy"]) if answer else {}


def _put_policy(s3: Client, bucket: str, elements: Elements) -> None:
    s3.put_bucket_policy(Bucket=bucket, Policy=policy({**_policy(s3, bucket), **elements}))


def _lifecycle_answer(s3: Client, bucket: str) -> dict[str, Json]:
    return unless("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=bucket)


def _lifecycle(s3: Client, bucket: str) -> Elements:
    rules = _lifecycle_answer(s3, bucket).get("Rules", [])
    return {rule.get("ID", f"#{number}"): _rule(rule) for number, rule in enumerate(rules, 1)}


def _rule(rule: Mapping[str, Json]) -> Json:
    same: dict[str, Json] = json.loads(json.dumps({k: v for k, v in rule.items() if k != "ID"}, default=str))
    for name in ("Transitions", "NoncurrentVersionTransitions"):
        if name in same:
            same[name] = sorted(same[name], key=lambda one: (one.get("Days", 0), one["StorageClass"]))
    return same


def _put_lifecycle(s3: Client, bucket: str, elements: Elements) -> None:
    answer = _lifecycle_answer(s3, bucket)
    kept = [rule for rule in answer.get("Rules", []) if rule.get("ID") not in elements]
    ours = [{"ID": name, **rule} for name, rule in elements.items()]
    smallest = "TransitionDefaultMinimumObjectSize"
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": kept + ours},
        **({smallest: answer[smallest]} if smallest in answer else {}),
    )


def _logging(s3: Client, bucket: str) -> Elements:
    found = s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled")
    return {"": {"bucket": found["TargetBucket"], "prefix": found["TargetPrefix"]}} if found else {}


def _put_logging(s3: Client, bucket: str, elements: Elements) -> None:
    target = {"TargetBucket": elements[""]["bucket"], "TargetPrefix": elements[""]["prefix"]}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": target})


def _replication_answer(s3: Client, bucket: str) -> dict[str, Json]:
    answer = unless("ReplicationConfigurationNotFoundError", s3.get_bucket_replication, Bucket=bucket)
    return dict(answer.get("ReplicationConfiguration", {}))


def _replication(s3: Client, bucket: str) -> Elements:
    found = _replication_answer(s3, bucket)
    rules = {r["ID"]: {k: v for k, v in r.items() if k != "ID"} for r in found.get("Rules", [])}
    return {"role": found["Role"], **{f"rule {name}": rule for name, rule in rules.items()}} if found else {}


def _versioning_is_on_its_way(error: BaseException) -> bool:
    return isinstance(error, ClientError) and code(error) == "InvalidRequest" and "ersioning" in str(error)


@retry(
    retry=retry_if_exception(_versioning_is_on_its_way), stop=stop_after_attempt(6), wait=wait_fixed(5), reraise=True
)
def _put_replication(s3: Client, bucket: str, elements: Elements) -> None:
    """Versioning that was switched on a moment ago is not seen everywhere at once."""
    there = {**_replication(s3, bucket), **elements}
    rules = [{"ID": name.removeprefix("rule "), **rule} for name, rule in there.items() if name != "role"]
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": there["role"], "Rules": rules})


def _tags(s3: Client, bucket: str) -> Elements:
    answer = unless("NoSuchTagSet", s3.get_bucket_tagging, Bucket=bucket)
    return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", [])}


def _put_tags(s3: Client, bucket: str, elements: Elements) -> None:
    tags = {**_tags(s3, bucket), **elements}
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]})


ASPECTS: Mapping[str, Aspect] = {
    "public access": Aspect(
        _public_access,
        lambda s3, bucket, e: s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=e[""]),
    ),
    "ownership": Aspect(
        _ownership,
        lambda s3, bucket, e: s3.put_bucket_ownership_controls(
            Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": e[""]}]}
        ),
    ),
    "encryption": Aspect(_encryption, _put_encryption),
    "versioning": Aspect(
        _versioning,
        lambda s3, bucket, e: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": e[""]}),
    ),
    "policy": Aspect(_policy, _put_policy),
    "lifecycle": Aspect(_lifecycle, _put_lifecycle),
    "logging": Aspect(_logging, _put_logging),
    "replication": Aspect(_replication, _put_replication),
    "tag": Aspect(_tags, _put_tags),
}
"""In the order in which they are set: nothing is public or unversioned while the rest is on its way."""
