"""Who may do what: every policy held against the keys that Iceberg writes, and against the calls that we make."""

import json
import traceback
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mercurios.errors import LakeError
from mercurios.lake import Lake, Policy, Release
from mercurios.storage import Place, Storage, read_declaration
from mercurios.storage.desired import resources
from mercurios.storage.policies import Names, bucket_statements, role_statements, tenant_statements
from mercurios.tables import TABLES
from mercurios.tenancy.reading import TENANT_ID
from tests.iam import Request, allowed, denied, matches
from tests.storage_account import (
    ACCOUNT,
    EVERYTHING,
    KEY,
    LAKE,
    POLICY,
    ROLE,
    SECRET,
    TENANTS,
    URL,
    declared,
    edit_database,
    edit_policy,
    iam,
    moto_account,
    s3,
)

NAMES = Names(read_declaration(), Place.parse(URL), ACCOUNT)
AS_OF = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
BUCKET = "arn:aws:s3:::acme-lake"
READS = ("s3:GetObject", "s3:GetObjectVersion")
WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectAcl", "s3:RestoreObject")
tenant_ids = st.from_regex(TENANT_ID, fullmatch=True)
files = st.from_regex(r"[a-z0-9-]{1,40}\.(parquet|avro|metadata\.json)", fullmatch=True)
months = st.sampled_from(("", "sold_on_month=2026-01/"))
neighbours = st.one_of(
    st.tuples(tenant_ids, tenant_ids),
    tenant_ids.map(lambda one: (one, f"{one}2"[:32])),
    tenant_ids.map(lambda one: (f"{one}_x"[:32], one)),
).filter(lambda pair: pair[0] != pair[1])


REGION = "eu-central-1"


@pytest.fixture
def account() -> Iterator[None]:
    with moto_account():
        yield


def said(tenant: str) -> list[Any]:
    return list(tenant_statements(NAMES, tenant).values())


def role(name: str) -> list[Any]:
    return list(role_statements(NAMES, NAMES.declaration.roles[name]).values())


def reads(statements: list[Any], key: str) -> bool:
    return allowed(statements, Request("s3:GetObject", f"{BUCKET}/{key}"))


def lists(statements: list[Any], prefix: str | None) -> bool:
    return allowed(statements, Request("s3:ListBucket", BUCKET, {} if prefix is None else {"s3:prefix": prefix}))


@given(neighbours, st.sampled_from(sorted(TABLES)), months, files)
@settings(max_examples=200, deadline=None)
def test_a_tenant_reads_its_own_rows_and_nobody_elses(pair: tuple[str, str], table: str, month: str, file: str) -> None:
    mine, other = pair
    folder = f"prod/lake/{table}/data/tenant_id={{}}/{month}"
    assert reads(said(mine), folder.format(mine) + file)
    assert lists(said(mine), folder.format(mine))
    assert not reads(said(mine), folder.format(other) + file)
    assert not lists(said(mine), folder.format(other))
    assert reads(said(mine), f"prod/releases/r000001-0a/index/{mine}.faiss")
    assert not reads(said(mine), f"prod/releases/r000001-0a/index/{other}.faiss")
    for action in (*READS[1:], *WRITES):
        assert not allowed(said(mine), Request(action, f"{BUCKET}/{folder.format(mine)}{file}"))


@given(tenant_ids, st.text("abc/_=.", max_size=30))
@settings(max_examples=200, deadline=None)
def test_a_tenant_sees_nothing_outside_of_the_lake(tenant: str, key: str) -> None:
    assume(not key.startswith("prod/"))
    for prefix in ("", "landing/", "archive/", ".mercurios-probe/", "prod2/lake/t/metadata/", f"x/tenant_id={tenant}/"):
        assert not reads(said(tenant), prefix + key)
    for prefix in (None, "", "prod/", "prod/lake/", "prod/lake/t/data/", f"prod/lake/t/data/tenant_id={tenant}"):
        assert not lists(said(tenant), prefix)


def test_what_iceberg_writes_is_where_the_policies_look(tmp_path: Path) -> None:
    lake = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/prod")
    day = date(2026, 1, 1)
    rows = [{"tenant_id": t, "customer_number": 1, "first_sold_on": day, "last_sold_on": day} for t in TENANTS]
    table = pa.Table.from_pylist(rows, schema=TABLES["dim_customers"].schema)
    index = {f"index/{tenant}.faiss": b"" for tenant in TENANTS}
    lake.publish({"dim_customers": table}, as_of=datetime(2026, 1, 1, tzinfo=UTC), files=index)
    keys = [str(path.relative_to(tmp_path)) for path in (tmp_path / "prod").rglob("*") if path.is_file()]
    for mine, other in (TENANTS, TENANTS[::-1]):
        theirs = {key for key in keys if f"tenant_id={other}/" in key or f"index/{other}.faiss" in key}
        needed = {key for key in keys if "/contents/" not in key and not Path(key).name.startswith(".")} - theirs
        assert len(theirs) >= 2
        assert {key for key in keys if reads(said(mine), key)} == needed
    assert all(reads(role("reader"), key) for key in keys)


PREDICTIONS = tuple(table.name for table in TABLES.values() if table.origin == "retrain")


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_role_writes_the_tables_of_its_verbs(table: str) -> None:
    for folder in ("data/tenant_id=north", "metadata"):
        write = Request("s3:PutObject", f"{BUCKET}/prod/lake/{table}/{folder}/x")
        catalog = Request("glue:UpdateTable", f"arn:aws:glue:eu-central-1:{ACCOUNT}:table/lake/{table}")
        for request in (write, catalog):
            assert allowed(role("exporter"), request)
            assert allowed(role("trainer"), request) is (table in PREDICTIONS)
            assert not allowed(role("reader"), request)
            assert not allowed(said("north"), request)


def test_only_the_exporter_deletes_and_nobody_deletes_versions() -> None:
    delete = Request("s3:DeleteObject", f"{BUCKET}/prod/lake/dim_articles/data/x")
    assert [name for name in NAMES.declaration.roles if allowed(role(name), delete)] == ["exporter"]
    version = Request("s3:DeleteObjectVersion", delete.resource)
    assert not any(allowed(list(one), version) for _, one in policies())
    assert reads(role("exporter"), "landing/north/sales.csv")
    assert not reads(role("reader"), "landing/north/sales.csv")


def policies(names: Names = NAMES) -> Iterator[tuple[str, list[Any]]]:
    for one in resources(names, TENANTS):
        if one.kind in {"policy", "role"}:
            yield one.name, list(one.aspects["statement"].values())


def test_no_policy_has_a_star_for_an_action_or_for_every_resource() -> None:
    for name, statements in policies():
        for one in statements:
            assert not [action for action in one["Action"] if "*" in action], name
            if one["Action"] != ["iam:ListPolicies"]:  # AWS knows no resource for it
                assert "*" not in one["Resource"], name
                assert not [arn for arn in one["Resource"] if arn.endswith(":::*")], name
    changing = Request("s3:PutBucketPolicy", BUCKET)
    assert [name for name, one in policies() if allowed(one, changing)] == ["mercurios-lake-operator"]
    data = Request("s3:GetObject", f"{BUCKET}/prod/lake/dim_customers/data/tenant_id=north/x")
    assert not allowed(dict(policies())["mercurios-lake-operator"], data)


@pytest.mark.parametrize(
    ("key", "asked", "refused"),
    [
        (None, {}, False),
        (None, {"": "AES256"}, False),
        (None, {"": "aws:kms"}, True),
        (None, {"": "aws:kms", "-aws-kms-key-id": KEY}, True),
        (None, {"-customer-algorithm": "AES256"}, True),
        (KEY, {}, False),
        (KEY, {"": "aws:kms", "-aws-kms-key-id": KEY}, False),
        (KEY, {"": "aws:kms"}, True),
        (KEY, {"": "aws:kms", "-aws-kms-key-id": f"{KEY}x"}, True),
        (KEY, {"": "AES256"}, True),
        (KEY, {"-customer-algorithm": "AES256"}, True),
    ],
)
@pytest.mark.parametrize("tls", ["true", "false"])
def test_a_write_is_refused_over_plain_http_or_with_another_encryption(
    key: str | None, asked: dict[str, str], refused: bool, tls: str
) -> None:
    statements = list(bucket_statements(NAMES, "acme-lake", key).values())
    context = {f"s3:x-amz-server-side-encryption{name}": value for name, value in asked.items()}
    write = Request("s3:PutObject", f"{BUCKET}/prod/x", context | {"aws:SecureTransport": tls})
    assert denied(statements, write) is (refused or tls == "false")
    for action, resource in (("s3:GetObject", f"{BUCKET}/prod/x"), ("s3:ListBucket", BUCKET)):
        assert denied(statements, Request(action, resource, {"aws:SecureTransport": tls})) is (tls == "false")


def test_keys_are_used_through_s3_only(tmp_path: Path) -> None:
    file = declared(tmp_path, encryption={"kms_key": KEY}, replica=None)
    names = Names(read_declaration(file), NAMES.place, ACCOUNT)
    for name, statements in policies(names):
        through = Request("kms:Decrypt", KEY, {"kms:ViaService": "s3.eu-central-1.amazonaws.com"})
        assert allowed(statements, through), name
        assert not allowed(statements, Request("kms:Decrypt", KEY)), name
        makes = Request("kms:GenerateDataKey", KEY, dict(through.context))
        writes = name.endswith(("exporter", "trainer", "operator"))
        assert allowed(statements, makes) is writes, name


def test_the_evaluator_knows_what_iam_does() -> None:
    one = {"Effect": "Allow", "Action": ["s3:Get*"], "Resource": ["arn:a[b]/*/x?"], "Condition": {}}
    assert matches(one, Request("S3:GETObject", "arn:a[b]/p/q/x1"))
    assert not matches(one, Request("s3:GetObject", "arn:ab/p/x1"))
    assert not matches(one, Request("s3:GetObject", "arn:A[b]/p/x1"))
    assert not allowed([one, one | {"Effect": "Deny"}], Request("s3:GetObject", "arn:a[b]/p/x1"))
    with pytest.raises(AssertionError, match="does not know"):
        matches(
            one | {"Condition": {"DateLessThan": {"aws:CurrentTime": ["x"]}}},
            Request("s3:GetX", "arn:a[b]/p/x1", {"aws:CurrentTime": "y"}),
        )


class Calls:
    """What was asked of AWS, as IAM sees it."""

    def __init__(self) -> None:
        self.session = boto3.Session()
        self.session.events.register("before-parameter-build", self._record)
        self.seen: set[tuple[str, str]] = set()

    def _record(self, params: dict[str, Any], model: Any, **_: object) -> None:
        service, name = model.service_model.service_name, model.name
        if service == "s3":
            key = f"/{params['Key']}" if "Key" in params else ""
            action = "DeleteObjectVersion" if name == "DeleteObject" and "VersionId" in params else name
            self.seen.add((IN_IAM.get(action, f"s3:{action}"), f"arn:aws:s3:::{params['Bucket']}{key}"))
        elif service == "glue":
            here = f"arn:aws:glue:eu-central-1:{ACCOUNT}"
            self.seen |= {(f"glue:{name}", f"{here}:{what}") for what in ("catalog", "database/lake")}
        elif service == "iam":
            self.seen.add((f"iam:{name}", _iam_resource(name, params)))


IN_IAM = {  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "GetBucketReplication": "s3:GetReplicationConfiguration",
    "PutBucketReplication": "s3:PutReplicationConfiguration",
}


def _iam_resource(name: str, params: dict[str, Any]) -> str:
    if name == "ListPolicies":
        return f"arn:aws:iam::{ACCOUNT}:*"
    if "PolicyArn" in params:
        return str(params["PolicyArn"])
    kind, own = ("role", "RoleName") if "RoleName" in params else ("policy", "PolicyName")
    return f"arn:aws:iam::{ACCOUNT}:{kind}/mercurios-lake/{params[own]}"


class Guard:
    """Glue as the policy of somebody lets it be called; moto enforces none."""

    def __init__(self, statements: list[Any]) -> None:
        self.statements, self.called = statements, set[str]()

    def lake(self, folder: Path) -> Lake:
        lake = Lake.open("glue://", f"file://{folder}/prod", **{"glue.region": REGION})
        lake._catalog.glue.meta.events.register("before-parameter-build.glue", self._check)  # type: ignore[attr-defined]
        return lake

    def _check(self, params: dict[str, Any], model: Any, **_: object) -> None:
        here, action = f"arn:aws:glue:{REGION}:{ACCOUNT}", f"glue:{model.name}"
        name = params.get("Name") or params.get("TableInput", {}).get("Name")
        tables = [f"table/lake/{name or '*'}"] if "Table" in model.name else []
        for resource in ("catalog", "database/lake", *tables):
            if not allowed(self.statements, Request(action, f"{here}:{resource}")):
                error = {"Code": "AccessDeniedException", "Message": f"{SECRET} may not {action}"}
                raise ClientError({"Error": error}, model.name)
        self.called.add(model.name)


def customers(**numbers: int) -> pa.Table:
    day = date(2026, 1, 1)
    rows = [
        {"tenant_id": t, "customer_number": n, "first_sold_on": day, "last_sold_on": day} for t, n in numbers.items()
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["dim_customers"].schema)


def everything(lake: Lake, release: Release) -> list[list[int]]:
    found = (lake.reader(tenant, release).table("dim_customers") for tenant in TENANTS)
    return [rows["customer_number"].to_pylist() for rows in found]


def test_roles_call_of_glue_what_their_policies_hold_and_no_more(account: None, tmp_path: Path) -> None:
    glue = boto3.client("glue", REGION)
    exporter, reader, tenant = Guard(role("exporter")), Guard(role("reader")), Guard(said("north"))
    with pytest.raises(LakeError, match=r"mercurios lake apply.*policy of its role"):
        exporter.lake(tmp_path).publish({"dim_customers": customers(north=1)}, as_of=AS_OF)
    for guard in (reader, tenant):
        assert guard.lake(tmp_path).current() is None
        assert guard.called == {"GetTable"}
    glue.create_database(DatabaseInput={"Name": "lake", "LocationUri": f"file://{tmp_path}/prod/lake"})

    writing = exporter.lake(tmp_path)
    first = writing.publish({"dim_customers": customers(north=1, north2=8)}, as_of=AS_OF, files={"a": b"1"})
    writing.publish({"dim_customers": customers(north=2, north2=9)}, as_of=AS_OF)
    back = writing.rollback(first.id)
    far = datetime.now(UTC) + timedelta(minutes=1)
    assert writing.expire(Policy(1, 0, timedelta()), now=far).releases == ("r000001", "r000002")
    assert exporter.called == {action.removeprefix("glue:") for action in actions(role("exporter"), "glue")}

    for guard in (reader, tenant):
        lake = guard.lake(tmp_path)
        assert (lake.require_current(), everything(lake, back), lake.read_file(back, "a")) == (back, [[1], [8]], b"1")
        assert guard.called == {"GetTable"}
        with pytest.raises(LakeError, match="policy of its role") as caught:
            lake.publish({"dim_customers": customers(north=666)}, as_of=AS_OF)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert lake.expire(Policy(1, 0, timedelta()), now=far, dry_run=True).kept == 1
        assert guard.called == {"GetTable", "GetTables", "GetDatabase"}
    assert {table["Name"] for table in glue.get_tables(DatabaseName="lake")["TableList"]} == {
        "dim_customers",
        "releases",
    }

    trainer = Guard(role("trainer"))
    with pytest.raises(LakeError, match=r"dim_customers.*policy of its role"):
        trainer.lake(tmp_path).publish({"dim_customers": customers(north=666)}, as_of=AS_OF)
    made = pa.Table.from_pylist([], schema=TABLES["recommendations"].schema)
    after = trainer.lake(tmp_path).publish({"recommendations": made}, as_of=AS_OF, tenants=("north",))
    assert (after.number, everything(writing, after)) == (4, [[1], [8]])


def actions(statements: list[Any], service: str) -> set[str]:
    return {action for one in statements for action in one["Action"] if action.startswith(f"{service}:")}


def test_the_operators_policy_holds_every_call_and_no_permission_more(account: None, tmp_path: Path) -> None:
    calls = Calls()
    file = declared(tmp_path, access_log={"bucket": "acme-logs"})
    storage = Storage.open(URL, TENANTS, file, session=calls.session)
    storage.apply(lambda change: None)
    anybody = {"Sid": "LetS3Replicate", "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    iam().update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)
    edit_database(Description="?")
    for number in range(4):
        edit_policy("reader", EVERYTHING | {"Sid": f"More{number}"})
    storage.apply(lambda change: None)
    s3().delete_bucket_policy(Bucket=LAKE)  # moto denies everything that a policy with conditions denies
    storage.verify()
    operator = next(one for one in storage.resources if one.name == "mercurios-lake-operator")
    said = list(operator.aspects["statement"].values())
    refused = {call for call in calls.seen if not allowed(said, Request(*call))}
    assert refused == set()
    assert len(iam().list_policy_versions(PolicyArn=f"{POLICY}reader")["Versions"]) == 5
    granted = {action for statement in said for action in statement["Action"]}
    assert granted - {action for action, _ in calls.seen} == {"iam:PassRole"}
