"""An account of the lake in moto, and what somebody might change in it by hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from moto.s3.responses import S3Response

from mercurios.storage import DECLARATION

LAKE, REPLICA = "acme-lake", "acme-lake-replica"
URL = f"s3://{LAKE}/prod"
TENANTS = ("north", "north2")
ACCOUNT = "123456789012"
SECRET = "not-to-be-seen-0123456789"
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/mercurios-lake/mercurios-lake-"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/0f0f0f0f-1111"
REPLICA_KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1f1f1f1f-2222"


ROLE = "mercurios-lake-replication"
EVERYTHING = {"Sid": "More", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def as_it_was_put(self: Any) -> Any:
    """moto's answer to GetBucketReplication, with the filter and the delete markers that were put."""
    found = self.backend.get_bucket_replication(self.bucket_name)
    if not found:
        return MOTO_ANSWER(self)
    self.data["Action"] = "GetBucketReplication"
    rules = [{**rule, "Priority": int(rule["Priority"])} for rule in found["Rule"]]
    answer = {"ReplicationConfiguration": {"Role": found["Role"], "Rules": rules}}
    return self.serialized(RESULT(answer))


MOTO_ANSWER = S3Response.get_bucket_replication
RESULT = S3Response.get_bucket_replication.__globals__["ActionResult"]


@contextmanager
def moto_account(*, repaired: bool = True) -> Iterator[None]:
    """moto with credentials; `repaired`: with its answer about replications put right."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        if repaired:
            patch.setattr(S3Response, "get_bucket_replication", as_it_was_put)
        yield


def declared(folder: Path, **changes: Any) -> Path:
    """The declaration of the package with changes, as a file."""
    path = folder / "declaration.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(DECLARATION.read_text()) | changes))
    return path


def s3(region: str = "eu-central-1") -> Any:
    return boto3.client("s3", region_name=region)


def iam() -> Any:
    return boto3.client("iam")


def without(document: str, sid: str) -> str:
    policy = json.loads(document)
    return json.dumps(policy | {"Statement": [one for one in policy["Statement"] if one["Sid"] != sid]})


def edit_lifecycle(days: int) -> None:
    rules = s3().get_bucket_lifecycle_configuration(Bucket=LAKE)["Rules"]
    for rule in rules:
        if rule["ID"] == "mercurios-lake":
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"] = days
    s3().put_bucket_lifecycle_configuration(Bucket=LAKE, LifecycleConfiguration={"Rules": rules})


def edit_bucket_policy(bucket: str, region: str) -> None:
    there = s3(region)
    there.put_bucket_policy(
        Bucket=bucket, Policy=without(there.get_bucket_policy(Bucket=bucket)["Policy"], "DenyPlainHttp")
    )


def edit_replication(**changes: Any) -> None:
    found = s3().get_bucket_replication(Bucket=LAKE)["ReplicationConfiguration"]
    found["Rules"][0] |= changes
    s3().put_bucket_replication(Bucket=LAKE, ReplicationConfiguration=found)


def edit_policy(role: str, *statements: Any) -> None:
    arn = f"{POLICY}{role}"
    version = iam().get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam().get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    document["Statement"] += statements
    iam().create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)


def edit_database(**changes: str) -> None:
    glue = boto3.client("glue", region_name="eu-central-1")
    there = {"Name": "lake", "LocationUri": "s3://acme-lake/prod/lake", "Parameters": {"mine": "stays"}}
    there["Description"] = "Mercurios: the lake's tables, one partition a tenant"
    glue.update_database(Name="lake", DatabaseInput=there | changes)
