"""What cannot be carried out: accounts that refuse or do not answer, and declarations that must not be carried out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.core import set_initial_no_auth_action_count
from moto.s3.responses import S3Response

from mercurios.errors import ConfigError, LakeError
from mercurios.storage import Storage, read_declaration
from tests.storage_account import (
    ACCOUNT,
    KEY,
    LAKE,
    REPLICA_KEY,
    SECRET,
    URL,
    declared,
    iam,
    moto_account,
    s3,
)


@pytest.fixture
def account() -> Iterator[None]:
    with moto_account():
        yield


def foreign_bucket(monkeypatch: pytest.MonkeyPatch, *, told: bool) -> None:
    """A bucket of the lake's name in another account; `told`: S3 answers those who do not ask for an owner."""
    role = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::210987654321:role/other", RoleSessionName="other")
    given = role["Credentials"]
    keys = {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"]}
    theirs = boto3.client("s3", region_name="eu-central-1", aws_session_token=given["SessionToken"], **keys)
    theirs.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    if not told:
        monkeypatch.setenv("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
        return
    head = S3Response.head_bucket

    def asks_for_owner(self: Any) -> Any:
        if self.bucket_name == LAKE and self.headers.get("x-amz-expected-bucket-owner") == ACCOUNT:
            return 403, {}, ""
        return head(self)

    monkeypatch.setattr(S3Response, "head_bucket", asks_for_owner)


@pytest.mark.parametrize("told", [True, False])
def test_a_bucket_of_somebody_else_is_told(account: None, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    foreign_bucket(monkeypatch, told=told)
    with pytest.raises(LakeError, match="belongs to another account" if told else "somebody else's") as raised:
        Storage.open(URL).plan()
    assert LAKE in str(raised.value)


def test_a_bucket_in_another_region_is_told(account: None) -> None:
    where = {"LocationConstraint": "eu-west-2"}
    s3("eu-west-2").create_bucket(Bucket=LAKE, CreateBucketConfiguration=where)
    with pytest.raises(ConfigError, match=r"is in eu-west-2, and declared in eu-central-1; a bucket cannot be moved"):
        Storage.open(URL).plan()


def test_without_credentials_it_is_said_where_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="AWS_PROFILE"):
        Storage.open(URL)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match="ProfileNotFound"):
        Storage.open(URL)


def test_an_account_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("mercurios.storage.aws._CONFIG", Config(retries={"total_max_attempts": 1}))
    with pytest.raises(LakeError, match="cannot be reached") as raised:
        Storage.open(URL)
    assert SECRET not in str(raised.value)


@set_initial_no_auth_action_count(3)
def _denied(actions: list[str]) -> str:
    """What somebody reads who may do no more than `actions`."""
    iam().create_user(UserName="ops")
    key = iam().create_access_key(UserName="ops")["AccessKey"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam().put_user_policy(UserName="ops", PolicyName="some", PolicyDocument=json.dumps(document))
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(LakeError) as raised:
        Storage.open(URL, session=session).apply(lambda change: None)
    assert key["SecretAccessKey"] not in str(raised.value) + repr(raised.value.__cause__)
    return str(raised.value)


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        (["sts:*"], r"bucket acme-lake-replica: AWS denies HeadBucket; give .* permission s3:(ListBucket|HeadBucket)"),
        (["sts:*", "s3:ListBucket", "s3:HeadBucket"], r"AWS denies GetRole; give .* permission iam:GetRole"),
        (
            ["sts:*", "s3:ListBucket", "s3:HeadBucket", "iam:*", "glue:*"],
            r"AWS denies CreateBucket; give .* permission s3:CreateBucket",
        ),
    ],
)
def test_what_is_denied_is_named_with_its_permission(account: None, actions: list[str], said: str) -> None:
    assert re.search(said, _denied(actions))


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"region": "Frankfurt"}, "region"),
    ({"colour": "blue"}, "colour"),
    ({"encryption": {"kms_key": "alias/mine"}}, "encryption.kms_key"),
    ({"encryption": {"kms_key": REPLICA_KEY}}, "not in eu-central-1"),
    ({"encryption": {"kms_key": KEY}}, "both name a KMS key"),
    ({"replica": {"region": "eu-central-1"}}, "the lake's own"),
    ({"replica": {"region": "eu-west-1", "bucket": LAKE}}, "one name"),
    ({"access_log": {"bucket": LAKE}}, "one name"),
    ({"areas": {"landing": "landing"}}, "areas.landing"),
    ({"areas": {"lake": "other/"}}, "area lake"),
    ({"areas": {}}, "no area 'archive'"),
    ({"roles": {"operator": {}}}, "role operator"),
    ({"roles": {"buyer": {"writes": ["everything"]}}}, "roles.buyer.writes"),
    ({"lifecycle": [{"id": "a", "area": "lake"}]}, "says what happens"),
    ({"lifecycle": [{"id": "a", "area": "lake", "noncurrent_days": 0}]}, "noncurrent_days"),
    ({"lifecycle": [{"id": "a", "area": "lake", "noncurrent_days": 1}] * 2}, "one id"),
    ({"lifecycle": [{"id": "a", "area": "landing", "transitions": {"STANDARD_IA": 3}}]}, "before 30 days"),
    ({"lifecycle": [{"id": "a", "area": "lake", "expire_days": 9}]}, "would delete objects under prod/"),
    ({"lifecycle": [{"id": "a", "area": "bucket", "expire_days": 9}]}, "would delete objects under prod/"),
    ({"lifecycle": [{"id": "a", "area": "lake", "transitions": {"GLACIER": 9}}]}, "would move to GLACIER"),
    (
        {
            "areas": {"landing": "prod/lake/", "archive": "archive/"},
            "lifecycle": [{"id": "a", "area": "landing", "expire_days": 1}],
        },
        "would delete",
    ),
]


@pytest.mark.parametrize(("changes", "said"), BROKEN)
def test_a_declaration_that_must_not_be_carried_out_is_refused(
    account: None, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Storage.open(URL, (), declared(tmp_path, **changes))
    assert s3().list_buckets()["Buckets"] == []


@pytest.mark.parametrize("text", ["", "- a list", "name: [", "[" * 5000, "\x00", "name: !!python/object:os.system {}"])
def test_a_file_that_is_no_declaration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_declaration(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_declaration(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "url",
    ["file:///srv/lake", "s3://acme-lake", "s3:///prod", "s3://Acme/prod", "s3://a/p*", "s3://acme-lake/${aws:x}"],
)
def test_a_lake_that_is_no_place_in_s3_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="s3://BUCKET/PREFIX"):
        Storage.open(url)
