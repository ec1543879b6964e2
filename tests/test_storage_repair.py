"""Changes by hand: each is found as exactly what it is, repaired, or told where it endangers the lake."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mercurios.storage import Outcome, Plan, Storage
from tests.storage_account import (
    EVERYTHING,
    LAKE,
    POLICY,
    REPLICA,
    ROLE,
    TENANTS,
    URL,
    edit_bucket_policy,
    edit_database,
    edit_lifecycle,
    edit_policy,
    edit_replication,
    iam,
    moto_account,
    s3,
    without,
)


@pytest.fixture(scope="module")
def made() -> Iterator[Storage]:
    """One account for all: every test leaves it as it is declared."""
    with moto_account():
        storage = Storage.open(URL, TENANTS)
        storage.apply(lambda change: None)
        yield storage


PUBLIC = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": True}
KMS = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
ANYTHING = {"Version": "2012-10-17", "Statement": [EVERYTHING]}
ANYBODY = {"Version": "2012-10-17", "Statement": [{"Sid": "LetS3Replicate", "Effect": "Allow"}]}
ANYBODY["Statement"][0] |= {"Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}  # type: ignore[index]
BY_HAND: dict[str, tuple[Callable[[], Any], str, str]] = {
    "public access": (
        lambda: s3().put_public_access_block(Bucket=LAKE, PublicAccessBlockConfiguration=PUBLIC),
        f"bucket {LAKE}: public access",
        "BlockPublicPolicy: false -> true",
    ),
    "public access gone": (
        lambda: s3().delete_public_access_block(Bucket=LAKE),
        f"bucket {LAKE}: public access",
        "BlockPublicAcls",
    ),
    "ownership": (
        lambda: s3().put_bucket_ownership_controls(
            Bucket=LAKE, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
        f"bucket {LAKE}: ownership",
        "ObjectWriter -> BucketOwnerEnforced",
    ),
    "encryption": (
        lambda: s3().put_bucket_encryption(Bucket=LAKE, ServerSideEncryptionConfiguration=KMS),
        f"bucket {LAKE}: encryption",
        "algorithm: aws:kms -> AES256",
    ),
    "encryption gone": (
        lambda: s3().delete_bucket_encryption(Bucket=LAKE),
        f"bucket {LAKE}: encryption",
        "AES256",
    ),
    "versioning": (
        lambda: s3().put_bucket_versioning(Bucket=LAKE, VersioningConfiguration={"Status": "Suspended"}),
        f"bucket {LAKE}: versioning",
        "Suspended -> Enabled",
    ),
    "bucket policy": (
        lambda: edit_bucket_policy(LAKE, "eu-central-1"),
        f"bucket {LAKE}: policy DenyPlainHttp",
        "Deny",
    ),
    "replica's policy": (
        lambda: edit_bucket_policy(REPLICA, "eu-west-1"),
        f"bucket {REPLICA}: policy DenyPlainHttp",
        "Deny",
    ),
    "lifecycle": (
        lambda: edit_lifecycle(7),
        f"bucket {LAKE}: lifecycle mercurios-lake",
        "NoncurrentVersionExpiration.NoncurrentDays: 7 -> 30",
    ),
    "tag": (
        lambda: s3().put_bucket_tagging(Bucket=LAKE, Tagging={"TagSet": [{"Key": "application", "Value": "other"}]}),
        f"bucket {LAKE}: tag application",
        "other -> mercurios",
    ),
    "delete markers": (
        lambda: edit_replication(DeleteMarkerReplication={"Status": "Disabled"}),
        f"bucket {LAKE}: replication rule mercurios-lake-replica",
        "DeleteMarkerReplication.Status: Disabled -> Enabled",
    ),
    "replication stopped": (
        lambda: edit_replication(Status="Disabled"),
        f"bucket {LAKE}: replication rule mercurios-lake-replica",
        "Status: Disabled -> Enabled",
    ),
    "location": (
        lambda: edit_database(LocationUri="s3://elsewhere/lake"),
        "database lake: location",
        "s3://elsewhere/lake -> s3://acme-lake/prod/lake",
    ),
    "description": (lambda: edit_database(Description="?"), "database lake: description", "? -> Mercurios"),
    "trust": (
        lambda: iam().update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(ANYBODY)),
        f"role {ROLE}: trust LetS3Replicate",
        "Principal.AWS",
    ),
    "what the role may": (
        lambda: iam().put_role_policy(
            RoleName=ROLE,
            PolicyName=ROLE,
            PolicyDocument=without(
                json.dumps(iam().get_role_policy(RoleName=ROLE, PolicyName=ROLE)["PolicyDocument"]), "ReadVersions"
            ),
        ),
        f"role {ROLE}: statement ReadVersions",
        "Allow",
    ),
    "a statement more": (
        lambda: edit_policy("reader", EVERYTHING),
        "policy mercurios-lake-reader: statement More",
        "s3:*",
    ),
    "policy gone": (
        lambda: iam().delete_policy(PolicyArn=f"{POLICY}tenant-north"),
        "policy mercurios-lake-tenant-north: made",
        POLICY,
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_change_by_hand_is_exactly_that_change_and_is_repaired(made: Storage, name: str) -> None:
    change, attribute, said = BY_HAND[name]
    change()
    plan = made.apply(lambda one: None)  # which looks again when it is done
    lines = [str(one) for one in plan.changes]
    assert lines[0][2:].startswith(attribute)
    assert said in lines[0]
    assert len(lines) == 1 or name == "policy gone"  # made anew with all its statements
    if name == "a statement more":
        assert lines[0].startswith("- ")


OLD = {
    "ID": "by-hand",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}
RULE = OLD | {"Expiration": {"Days": 30}}


@pytest.mark.parametrize(
    ("rule", "harms"),
    [
        (RULE, True),
        (RULE | {"Filter": {"Prefix": "prod/lake/dim_customers/"}}, True),
        (RULE | {"Filter": {"Prefix": "pr"}}, True),
        (RULE | {"Filter": {"Prefix": "landing/"}}, False),
        (RULE | {"Status": "Disabled"}, False),
        ({**RULE, "Expiration": {"ExpiredObjectDeleteMarker": True}}, False),
        (OLD | {"Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]}, True),
        (OLD | {"Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}]}, False),
        (OLD, False),
    ],
)
def test_a_foreign_rule_that_would_touch_live_data_is_a_deviation(made: Storage, rule: Any, harms: bool) -> None:
    rules = s3().get_bucket_lifecycle_configuration(Bucket=LAKE)["Rules"]
    s3().put_bucket_lifecycle_configuration(Bucket=LAKE, LifecycleConfiguration={"Rules": [*rules, rule]})
    found = {check.name for check in made.verify(probed=False) if check.outcome is Outcome.DEVIATION}
    s3().put_bucket_lifecycle_configuration(Bucket=LAKE, LifecycleConfiguration={"Rules": rules})
    assert found == ({"live data"} if harms else set())


def test_somebody_let_in_by_hand_is_a_deviation(made: Storage) -> None:
    before = s3().get_bucket_policy(Bucket=LAKE)["Policy"]
    document = json.loads(before)
    document["Statement"].append({"Effect": "Allow", "Principal": {"AWS": "210987654321"}, "Action": "s3:GetObject"})
    document["Statement"][-1]["Resource"] = f"arn:aws:s3:::{LAKE}/*"
    s3().put_bucket_policy(Bucket=LAKE, Policy=json.dumps(document))
    iam().put_role_policy(RoleName=ROLE, PolicyName="more", PolicyDocument=json.dumps(ANYTHING))
    copied = s3().get_bucket_replication(Bucket=LAKE)["ReplicationConfiguration"]
    rule = copied["Rules"][0] | {"ID": "mine", "Priority": 2}
    s3().put_bucket_replication(Bucket=LAKE, ReplicationConfiguration=copied | {"Rules": [*copied["Rules"], rule]})
    iam().attach_role_policy(RoleName=ROLE, PolicyArn=f"{POLICY}exporter")
    found = [check for check in made.verify(probed=False) if check.outcome is Outcome.DEVIATION]
    s3().put_bucket_policy(Bucket=LAKE, Policy=before)
    iam().detach_role_policy(RoleName=ROLE, PolicyArn=f"{POLICY}exporter")
    iam().delete_role_policy(RoleName=ROLE, PolicyName="more")
    s3().put_bucket_replication(Bucket=LAKE, ReplicationConfiguration=copied)
    assert [check.name for check in found] == ["access"] * 4
    assert made.plan() == Plan(())
