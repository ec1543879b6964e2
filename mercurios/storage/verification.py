"""Whether the account keeps what it was given: harm by what is not declared, and the path of the data, tried."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercurios.errors import MercuriosError
from mercurios.storage.aws import Aws, Client, code, permission, told
from mercurios.storage.declaration import LAKE, PROBE, READABLE, area, overlap
from mercurios.storage.planning import Undeclared
from mercurios.storage.policies import Names

_REFUSED = {"AccessDenied", "403", "Forbidden"}


class Outcome(StrEnum):
    """What came of a check."""

    KEPT = "kept"
    DEVIATION = "deviation"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Check:
    """One check and what it found."""

    name: str
    outcome: Outcome
    said: str

    def __str__(self) -> str:
        return f"{self.outcome.value:<10} {self.name}: {self.said}"


def hazards(names: Names, undeclared: tuple[Undeclared, ...]) -> Iterator[Check]:
    """What was added by hand and endangers the lake: rules that touch live data, whatever lets somebody in."""
    lake = area(names.declaration, names.place, LAKE)
    for one in undeclared:
        if one.aspect == "lifecycle" and _endangers(one.value, lake):
            yield _deviation(
                "live data", f"{one.resource}: lifecycle {one.element} may delete or archive what a release names"
            )
        elif one.aspect == "policy" and one.value["Effect"] == "Allow":
            yield _deviation("access", f"{one.resource}: policy {one.element} lets somebody in and is not declared")
        elif one.aspect in {"attached", "inline"}:
            yield _deviation("access", f"{one.resource}: {one.element} gives it more than is declared")
        elif one.aspect == "replication":
            yield _deviation("access", f"{one.resource}: {one.element} copies objects and is not declared")


def probe(aws: Aws, names: Names, plain_endpoint: str | None = None) -> tuple[Check, ...]:
    """Put, read back and delete one object, and try what must be refused.

    plain_endpoint: where plain HTTP is spoken; needed for servers other than AWS's.
    """
    key = f"{PROBE}{secrets.token_hex(16)}"
    s3, bucket = aws.s3(names.declaration.region), names.place.bucket
    try:
        checks = list(_round_trip(s3, names, key))
        if all(check.outcome is Outcome.KEPT for check in checks):
            checks += _refusals(aws, names, key, plain_endpoint)
    finally:
        removed = _remove(s3, bucket, key)
    return (*checks, removed)


def _round_trip(s3: Client, names: Names, key: str) -> Iterator[Check]:
    body, bucket = secrets.token_bytes(64), names.place.bucket
    try:
        with told(f"bucket {bucket}"):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            answer = s3.get_object(Bucket=bucket, Key=key)
            same = answer["Body"].read() == body
    except MercuriosError as error:
        yield _deviation("write and read", str(error))
        return
    yield (
        _kept("write and read", "what was written is read back")
        if same
        else _deviation("write and read", "something else is read back")
    )
    wanted = names.declaration.encryption.kms_key
    algorithm = "aws:kms" if wanted else "AES256"
    found = (answer.get("ServerSideEncryption"), answer.get("SSEKMSKeyId"))
    good = found[0] == algorithm and (not wanted or found[1] == wanted)
    said = f"an object without a wish is encrypted with {found[0] or 'nothing'}"
    yield _kept("encryption", said) if good else _deviation("encryption", f"{said}, {algorithm} is declared")


def _refusals(aws: Aws, names: Names, key: str, plain_endpoint: str | None) -> Iterator[Check]:
    region, bucket = names.declaration.region, names.place.bucket
    s3, nobody = aws.s3(region), aws.anonymous(region)
    target = {"Bucket": bucket, "Key": key}
    yield _refused("public read", lambda: nobody.get_object(**target))
    yield _refused("public write", lambda: nobody.put_object(**target, Body=b""))
    other = "AES256" if names.declaration.encryption.kms_key else "aws:kms"
    yield _refused(f"write with {other}", lambda: s3.put_object(**target, Body=b"", ServerSideEncryption=other))
    if not s3.meta.endpoint_url.startswith("https:"):
        yield _not_tried("write with a customer's key", "the endpoint speaks plain HTTP")
        yield _not_tried("plain HTTP", "the endpoint speaks nothing else")
        return
    mine = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secrets.token_bytes(32)}
    yield _refused("write with a customer's key", lambda: s3.put_object(**target, Body=b"", **mine))
    if ".amazonaws." not in s3.meta.endpoint_url and plain_endpoint is None:
        yield _not_tried("plain HTTP", "the endpoint is not AWS's, and where it speaks plain HTTP is not known")
        return
    plain = aws.plain(region, plain_endpoint)
    yield _refused("plain HTTP", lambda: plain.get_object(**target), unreachable=True)


def _refused(name: str, call: Callable[[], Any], *, unreachable: bool = False) -> Check:
    try:
        call()
    except ClientError as error:
        if code(error) in _REFUSED:
            return _kept(name, "refused")
        return _deviation(name, f"expected a refusal, got {code(error)}")
    except BotoCoreError as error:
        if unreachable:
            return _kept(name, "nobody answers")
        return _deviation(name, f"expected a refusal, got {type(error).__name__}")
    return _deviation(name, "was let through")


def _remove(s3: Client, bucket: str, key: str) -> Check:
    """Delete every version, so that nothing of the probe stays."""
    try:
        for _ in range(3):
            answer = s3.list_object_versions(Bucket=bucket, Prefix=key)
            versions = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
            if not versions:
                return _kept("delete", "nothing of the probe is left")
            for version in versions:
                s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    except ClientError as error:
        if code(error) == "NoSuchBucket":
            return _kept("delete", "nothing was written")
        needed = permission("DeleteObjectVersion" if error.operation_name == "DeleteObject" else error.operation_name)
        return _deviation("delete", f"{code(error)}: {key} is left; give who runs this the permission {needed}")
    except BotoCoreError as error:
        return _deviation("delete", f"{type(error).__name__}: {key} may be left; its area expires after a day")
    return _deviation("delete", f"{key} is still there")


def _endangers(rule: Any, lake: str) -> bool:
    if rule.get("Status") != "Enabled" or not overlap(_prefix(rule), lake):
        return False
    expires = {"Days", "Date"} & rule.get("Expiration", {}).keys()
    return bool(expires) or any(one["StorageClass"] not in READABLE for one in rule.get("Transitions", []))


def _prefix(rule: Any) -> str:
    filtered = rule.get("Filter", {})
    return str(filtered.get("Prefix") or filtered.get("And", {}).get("Prefix") or rule.get("Prefix") or "")


def _kept(name: str, said: str) -> Check:
    return Check(name, Outcome.KEPT, said)


def _deviation(name: str, said: str) -> Check:
    return Check(name, Outcome.DEVIATION, said)


def _not_tried(name: str, said: str) -> Check:
    return Check(name, Outcome.NOT_TRIED, said)
