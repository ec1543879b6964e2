"""The lake's account against moto: what is planned, made and left alone, and the command line.

moto answers two things not as S3 does; both are strict expected failures, and the first is repaired for other tests.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from mercurios.commands.lake import app
from mercurios.errors import LakeError
from mercurios.storage import Outcome, Storage
from tests.storage_account import (
    ACCOUNT,
    EVERYTHING,
    KEY,
    LAKE,
    POLICY,
    REPLICA,
    REPLICA_KEY,
    SECRET,
    TENANTS,
    URL,
    declared,
    edit_bucket_policy,
    edit_database,
    edit_lifecycle,
    edit_policy,
    iam,
    moto_account,
    s3,
)


@pytest.fixture
def account() -> Iterator[None]:
    with moto_account():
        yield


@pytest.fixture
def storage(account: None) -> Storage:
    return Storage.open(URL, TENANTS)


@pytest.fixture
def made(storage: Storage) -> Storage:
    storage.apply(lambda change: None)
    return storage


def test_a_plan_changes_nothing_and_is_in_the_order_of_its_making(storage: Storage) -> None:
    plan = storage.plan()
    order = list(dict.fromkeys(change.resource for change in plan.changes))
    assert order[:4] == [
        f"bucket {REPLICA}",
        "role mercurios-lake-replication",
        f"bucket {LAKE}",
        "database lake",
    ]
    roles = ("exporter", "trainer", "reader", "operator", "tenant-north", "tenant-north2")
    assert order[4:] == [f"policy mercurios-lake-{role}" for role in roles]
    aspects = list(dict.fromkeys(c.aspect for c in plan.changes if c.resource == f"bucket {LAKE}"))
    assert aspects[:2] == ["made", "public access"]
    assert aspects[-1] == "replication"
    assert s3().list_buckets()["Buckets"] == []
    assert iam().list_policies(Scope="Local")["Policies"] == []
    assert storage.plan() == plan


def test_what_is_made_is_there_and_a_second_plan_is_empty(made: Storage) -> None:
    assert made.plan().changes == ()
    assert made.plan().undeclared == ()
    assert len(iam().list_policy_versions(PolicyArn=f"{POLICY}reader")["Versions"]) == 1
    told: list[Any] = []
    assert made.apply(told.append).changes == ()
    assert told == []
    for bucket, region in ((LAKE, "eu-central-1"), (REPLICA, "eu-west-1")):
        there = s3(region)
        assert there.head_bucket(Bucket=bucket)["BucketRegion"] == region
        assert there.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        blocked = there.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert len(blocked) == 4
        assert all(blocked.values())
        rule = there.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    database = boto3.client("glue", region_name="eu-central-1").get_database(Name="lake")["Database"]
    assert database["LocationUri"] == "s3://acme-lake/prod/lake"
    copied = s3().get_bucket_replication(Bucket=LAKE)["ReplicationConfiguration"]
    assert copied["Role"] == f"arn:aws:iam::{ACCOUNT}:role/mercurios-lake/mercurios-lake-replication"
    assert copied["Rules"][0]["Filter"] == {"Prefix": "prod/"}
    assert copied["Rules"][0]["DeleteMarkerReplication"] == {"Status": "Enabled"}


def test_what_is_not_declared_is_told_and_stays(made: Storage) -> None:
    there = s3()
    rules = there.get_bucket_lifecycle_configuration(Bucket=LAKE)["Rules"]
    mine = {"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": "landing/x/"}, "Expiration": {"Days": 9}}
    there.put_bucket_lifecycle_configuration(Bucket=LAKE, LifecycleConfiguration={"Rules": [*rules, mine]})
    document = json.loads(there.get_bucket_policy(Bucket=LAKE)["Policy"])
    document["Statement"].append({"Sid": "Mine", "Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketAcl"})
    document["Statement"][-1]["Resource"] = f"arn:aws:s3:::{LAKE}"
    there.put_bucket_policy(Bucket=LAKE, Policy=json.dumps(document))
    tags = [{"Key": "application", "Value": "wrong"}, {"Key": "cost", "Value": "mine"}]
    there.put_bucket_tagging(Bucket=LAKE, Tagging={"TagSet": tags})
    edit_lifecycle(1)
    edit_database(Description="?")
    edit_bucket_policy(LAKE, "eu-central-1")
    plan = made.plan()
    assert {(c.aspect, c.element) for c in plan.changes} == {
        ("policy", "DenyPlainHttp"),
        ("lifecycle", "mercurios-lake"),
        ("tag", "application"),
        ("description", ""),
    }
    made.apply(lambda change: None)
    left = made.plan()
    assert left.changes == ()
    assert {(u.aspect, u.element) for u in left.undeclared} == {
        ("lifecycle", "mine"),
        ("policy", "Mine"),
        ("tag", "cost"),
    }
    assert all("left alone" in str(one) for one in left.undeclared)
    database = boto3.client("glue", region_name="eu-central-1").get_database(Name="lake")["Database"]
    assert database["Parameters"] == {"mine": "stays"}


def test_a_tenant_that_is_removed_keeps_its_policy_and_is_told(made: Storage) -> None:
    fewer = Storage.open(URL, ("north",)).plan()
    assert fewer.changes == ()
    assert [str(one) for one in fewer.undeclared] == [
        "? policy mercurios-lake-tenant-north2 is not declared; left alone"
    ]
    more = Storage.open(URL, (*TENANTS, "south"))
    assert {change.resource for change in more.plan().changes} == {"policy mercurios-lake-tenant-south"}


def test_a_policy_that_is_changed_often_does_not_run_out_of_versions(made: Storage) -> None:
    for number in range(5):
        versions = iam().list_policy_versions(PolicyArn=f"{POLICY}reader")["Versions"]
        if len(versions) == 5:
            old = next(one for one in versions if not one["IsDefaultVersion"])
            iam().delete_policy_version(PolicyArn=f"{POLICY}reader", VersionId=old["VersionId"])
        edit_policy("reader", EVERYTHING | {"Sid": f"More{number}"})
        assert len(made.apply(lambda change: None).changes) == 1
    assert made.plan().changes == ()


def test_keys_and_an_access_log_are_kept_too(account: None, tmp_path: Path) -> None:
    file = declared(
        tmp_path,
        encryption={"kms_key": KEY},
        replica={"region": "eu-west-1", "kms_key": REPLICA_KEY},
        access_log={"bucket": "acme-logs"},
    )
    storage = Storage.open(URL, TENANTS, file)
    assert storage.plan().changes[0].resource == "bucket acme-logs"
    storage.apply(lambda change: None)
    assert storage.plan().changes == ()
    rule = s3().get_bucket_encryption(Bucket=LAKE)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert rule["BucketKeyEnabled"] is True
    target = {"TargetBucket": "acme-logs", "TargetPrefix": "access/"}
    assert s3().get_bucket_logging(Bucket=LAKE)["LoggingEnabled"] == target
    copied = s3().get_bucket_replication(Bucket=LAKE)["ReplicationConfiguration"]["Rules"][0]
    assert copied["Destination"]["EncryptionConfiguration"] == {"ReplicaKmsKeyID": REPLICA_KEY}
    s3().put_bucket_logging(Bucket=LAKE, BucketLoggingStatus={})
    assert [change.aspect for change in storage.plan().changes] == ["logging"]


def test_without_a_replica_nothing_of_a_second_region_is_made(account: None, tmp_path: Path) -> None:
    storage = Storage.open(URL, (), declared(tmp_path, replica=None))
    storage.apply(lambda change: None)
    assert [bucket["Name"] for bucket in s3().list_buckets()["Buckets"]] == [LAKE]
    assert iam().list_roles()["Roles"] == []
    assert storage.plan().changes == ()


def test_what_failed_in_the_middle_is_made_by_the_next_call(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def stop(change: Any) -> None:
        told.append(change)
        if change.aspect == "encryption" and change.resource == f"bucket {LAKE}":
            raise LakeError("stopped here")

    with pytest.raises(LakeError, match="stopped here"):
        storage.apply(stop)
    left = storage.plan().changes
    assert 0 < len(left) < len(told) + len(left)
    assert not {(c.resource, c.attribute) for c in told} & {(c.resource, c.attribute) for c in left}
    storage.apply(lambda change: None)
    assert storage.plan().changes == ()


@pytest.fixture
def settings(account: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MERCURIOS_HOME", str(tmp_path))
    monkeypatch.setenv("MERCURIOS_LAKE", URL)
    (tmp_path / "tenants").mkdir()
    for tenant in TENANTS:
        (tmp_path / "tenants" / f"{tenant}.yaml").touch()


def lake(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_the_command_line_plans_makes_and_verifies(settings: None) -> None:
    first = lake("plan")
    assert first.exit_code == 0, first.output
    lines = first.output.splitlines()
    assert lines[0] == f"+ bucket {REPLICA}: made eu-west-1"
    assert lines[-1] == f"{len(lines) - 1} changes"
    assert max(map(len, lines)) < 300
    told = json.loads(lake("plan", "--json").output)
    assert len(told["changes"]) == len(lines) - 1
    assert set(told["changes"][0]) == {"resource", "aspect", "element", "before", "after"}
    empty = lake("verify")
    assert "NoSuchBucket" in empty.output
    assert "nothing was written" in empty.output
    wrong = lake("verify", "--no-probe")
    assert isinstance(wrong.exception, LakeError)
    assert "deviations" in str(wrong.exception)
    assert lake("apply").output.splitlines()[:-1] == lines[:-1]
    assert lake("apply").output == "nothing to change\n"
    assert lake("plan").output == "nothing to change\n"
    assert json.loads(lake("apply", "--json").output) == {"changes": [], "undeclared": []}
    kept = lake("verify", "--no-probe")
    assert kept.exit_code == 0
    assert kept.output.startswith("kept")
    assert json.loads(lake("verify", "--no-probe", "--json").output)[0]["outcome"] == "kept"
    for result in (first, wrong, kept):
        assert SECRET not in result.output


def test_a_deviation_ends_verify_with_an_error(settings: None) -> None:
    lake("apply")
    s3().put_bucket_versioning(Bucket=LAKE, VersioningConfiguration={"Status": "Suspended"})
    result = lake("verify", "--no-probe")
    assert "versioning Suspended -> Enabled" in result.output
    assert isinstance(result.exception, LakeError)
    assert str(result.exception).startswith("1 deviations")


@pytest.mark.xfail(strict=True, raises=LakeError, reason="moto answers filter and delete markers of its own making")
def test_moto_keeps_a_replication_as_it_was_put() -> None:
    with moto_account(repaired=False):
        storage = Storage.open(URL)
        storage.apply(lambda change: None)
        assert not storage.plan().changes


@pytest.mark.xfail(strict=True, reason="moto enforces a bucket policy without its conditions, and lets anybody read")
def test_moto_keeps_the_path_of_the_data(made: Storage) -> None:
    assert {check.outcome for check in made.verify()} <= {Outcome.KEPT, Outcome.NOT_TRIED}
