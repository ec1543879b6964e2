"""The lake on a real S3 server: releases of two tenants, failures in the middle, and who is let in.

What SeaweedFS does not do is a strict expected failure, so that we hear of it when it does.
"""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mercurios.errors import LakeError
from mercurios.lake import Lake, Policy
from mercurios.storage import Outcome, Place, read_declaration
from mercurios.storage.aws import Aws
from mercurios.storage.desired import resources
from mercurios.storage.documents import policy
from mercurios.storage.kinds import KINDS, Resource
from mercurios.storage.policies import Names, role_statements, tenant_statements
from mercurios.storage.verification import probe
from mercurios.tables import TABLES
from tests.seaweed import Seaweed, keys_of, seaweed

AS_OF = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
ACCOUNT = "123456789012"
READABLE, GUARDED = "acme-lake", "acme-guarded"
NAMES = Names(read_declaration(), Place(bucket=READABLE, prefix="prod"), ACCOUNT)
GUARDED_NAMES = replace(NAMES, place=Place(bucket=GUARDED, prefix="prod"))
TENANTS = ("north", "north2")
ROLES = NAMES.declaration.roles


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "tls.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, none) + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    folder = tmp_path_factory.mktemp("s3")
    said = {tenant: tenant_statements(NAMES, tenant) for tenant in TENANTS}
    said |= {name: role_statements(NAMES, role) for name, role in ROLES.items()}
    identities = {name: {"Version": "2012-10-17", "Statement": list(each.values())} for name, each in said.items()}
    with seaweed(folder / "weed", identities=identities, certificate=certificate(folder)) as running:
        running.client().create_bucket(Bucket=READABLE)
        yield running


def customers(**known: list[int]) -> pa.Table:
    day = date(2026, 1, 1)
    rows = [
        {"tenant_id": tenant, "customer_number": number, "first_sold_on": day, "last_sold_on": day}
        for tenant, listed in known.items()
        for number in listed
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["dim_customers"].schema)


def own(rows: pa.Table, tenant: str) -> list[dict[str, Any]]:
    return [row for row in rows.to_pylist() if row["tenant_id"] == tenant]


def read(lake: Lake, tenant: str, release: Any) -> list[dict[str, Any]]:
    return lake.reader(tenant, release).table("dim_customers").sort_by("customer_number").to_pylist()


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [row["customer_number"] for row in rows]


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """A prefix of its own for every test."""
    return f"s3://{READABLE}/{request.node.name.replace('_', '-')[:40]}"


def test_a_release_is_read_back_as_it_was_published(server: Seaweed, catalog: str, place: str) -> None:
    lake = Lake.open(catalog, place, **server.properties())
    rows = customers(north=list(range(5000)), north2=[7, 8])
    release = lake.publish({"dim_customers": rows}, as_of=AS_OF, files={"index/north.faiss": b"\0index"})
    again = Lake.open(catalog, place, **server.properties()).require_current()
    assert again == release
    for tenant in TENANTS:
        assert read(lake, tenant, again) == own(rows, tenant)
    assert lake.read_file(again, "index/north.faiss") == b"\0index"


def test_readers_are_not_disturbed_by_publications(server: Seaweed, catalog: str, place: str) -> None:
    lake = Lake.open(catalog, place, **server.properties())
    rows = customers(north=[1, 2, 3], north2=[9])
    first = lake.publish({"dim_customers": rows}, as_of=AS_OF)
    done = threading.Event()

    def look(tenant: str) -> int:
        mine, reads = Lake.open(catalog, place, **server.properties()), 0
        while not done.is_set() or not reads:
            assert read(mine, tenant, first) == own(rows, tenant)
            now = mine.require_current()
            assert {row["tenant_id"] for row in read(mine, tenant, now)} == {tenant}
            reads += 1
        return reads

    with ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(look, tenant) for tenant in TENANTS * 2]
        try:
            for number in range(3):
                lake.publish({"dim_customers": customers(north=[number], north2=[number])}, as_of=AS_OF)
        finally:
            done.set()
        assert all(each.result() for each in looking)
    assert lake.require_current().number == 4


class Line:
    """A TCP line to the server that can be cut in the middle of whatever it carries."""

    def __init__(self, port: int) -> None:
        self.target, self.broken = ("127.0.0.1", port), False
        self.ends: list[socket.socket] = []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._answer, daemon=True)]
        self.threads[0].start()

    def cut(self) -> None:
        self.broken = True
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self.door.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self.threads:
            thread.join(5)
        for end in (self.door, *self.ends):
            end.close()

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.door.accept()
                if self.broken:
                    near.close()
                    continue
                far = socket.create_connection(self.target)
                self.ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._carry, args=(source, sink), daemon=True)
                    self.threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def publish_and_fail(lake: Lake, fail: Any) -> None:
    """Publish two tables, of which the second does not get to the server any more."""

    def meanwhile() -> pa.Table:
        fail()
        row = {name: None for name in TABLES["dim_tenants"].schema.names} | {"tenant_id": "north"}
        return pa.Table.from_pylist([row], schema=TABLES["dim_tenants"].schema)

    with pytest.raises(LakeError, match="check network and region, then run this again"):
        lake.publish({"dim_customers": customers(north=[666]), "dim_tenants": meanwhile}, as_of=AS_OF)


def check_still(lake: Lake, first: Any, rows: pa.Table) -> None:
    """The former release is what everybody sees, and the next publication follows it."""
    assert lake.require_current() == first
    for tenant in TENANTS:
        assert read(lake, tenant, first) == own(rows, tenant)
    following = lake.publish({"dim_customers": customers(north=[2], north2=[4])}, as_of=AS_OF)
    assert following.number == first.number + 1
    assert numbers(read(lake, "north", following)) == [2]


def test_a_line_that_is_cut_leaves_the_former_release(server: Seaweed, catalog: str, place: str) -> None:
    rows = customers(north=[1], north2=[3])
    direct = Lake.open(catalog, place, **server.properties())
    first = direct.publish({"dim_customers": rows}, as_of=AS_OF)
    line = Line(server.ports["s3.port"])
    try:
        through = Lake.open(catalog, place, **server.properties(url=line.url))
        assert through.require_current() == first
        publish_and_fail(through, line.cut)
    finally:
        line.close()
    check_still(direct, first, rows)


def test_a_server_that_is_killed_leaves_the_former_release(server: Seaweed, catalog: str, place: str) -> None:
    rows = customers(north=[1], north2=[3])
    lake = Lake.open(catalog, place, **server.properties())
    first = lake.publish({"dim_customers": rows}, as_of=AS_OF)
    publish_and_fail(lake, server.kill)
    server.start()
    check_still(lake, first, rows)


@pytest.fixture(scope="module")
def prod(server: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A release at the prefix that the policies name."""
    catalog = f"sqlite:///{tmp_path_factory.mktemp('prod')}/catalog.db"
    lake = Lake.open(catalog, f"s3://{READABLE}/prod", **server.properties())
    rows = customers(north=[1, 2], north2=[3])
    files = {f"index/{tenant}.faiss": b"index" for tenant in TENANTS} | {"semantic_manifest.json": b"{}"}
    return catalog, lake.publish({"dim_customers": rows}, as_of=AS_OF, files=files)


@pytest.mark.parametrize(("tenant", "other"), [TENANTS, TENANTS[::-1]])
def test_a_tenants_policy_opens_its_own_rows_and_no_others(
    server: Seaweed, prod: tuple[str, Any], tenant: str, other: str
) -> None:
    s3, reached, refused = server.client(tenant), set(), set()
    for key in keys_of(server.client(), READABLE, "prod/"):
        try:
            s3.get_object(Bucket=READABLE, Key=key)["Body"].read()
            reached.add(key)
        except ClientError:
            refused.add(key)
    assert any(f"tenant_id={tenant}/" in key for key in reached)
    assert not any(f"tenant_id={other}/" in key or f"/index/{other}." in key for key in reached)
    assert refused == {key for key in refused if f"tenant_id={other}/" in key or f"/index/{other}." in key}
    assert len(refused) == 2
    place = "prod/lake/dim_customers/data/tenant_id={}/"
    assert list(keys_of(s3, READABLE, place.format(tenant)))
    for forbidden in (place.format(other), "prod/lake/", ""):
        with pytest.raises(ClientError, match="AccessDenied"):
            list(keys_of(s3, READABLE, forbidden))
    for write in (
        lambda: s3.put_object(Bucket=READABLE, Key=f"{place.format(tenant)}x.parquet", Body=b""),
        lambda: s3.delete_object(Bucket=READABLE, Key=next(iter(reached))),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            write()


def test_a_tenants_policy_is_enough_to_read_its_release(server: Seaweed, prod: tuple[str, Any]) -> None:
    catalog, release = prod
    lake = Lake.open(catalog, f"s3://{READABLE}/prod", **server.properties("north"))
    assert lake.require_current() == release
    assert numbers(read(lake, "north", release)) == [1, 2]
    with pytest.raises(LakeError, match=r"dim_customers of release r000001: .*policy of its role.*ACCESS_DENIED"):
        read(lake, "north2", release)


def test_a_trainer_publishes_predictions_and_no_marts(server: Seaweed, prod: tuple[str, Any]) -> None:
    catalog, _ = prod
    lake = Lake.open(catalog, f"s3://{READABLE}/prod", **server.properties("trainer"))
    schema = TABLES["recommendations"].schema
    filled = {pa.string(): "x", pa.int64(): 1, pa.float64(): 0.5}
    rows = pa.Table.from_pylist([{f.name: filled.get(f.type) for f in schema} | {"tenant_id": "north"}], schema=schema)
    before = lake.require_current()
    after = lake.publish({"recommendations": rows}, as_of=AS_OF, tenants=("north",))
    assert after.number == before.number + 1
    with pytest.raises(LakeError, match=r"dim_customers.*policy of its role.*ACCESS_DENIED"):
        lake.publish({"dim_customers": customers(north=[666])}, as_of=AS_OF)
    assert lake.require_current() == after


def test_a_readers_policy_reads_every_tenant_and_changes_nothing(server: Seaweed, prod: tuple[str, Any]) -> None:
    catalog, release = prod
    lake = Lake.open(catalog, f"s3://{READABLE}/prod", **server.properties("reader"))
    before = set(keys_of(server.client(), READABLE, "prod/"))
    assert [numbers(read(lake, tenant, release)) for tenant in TENANTS] == [[1, 2], [3]]
    assert lake.read_file(release, "index/north.faiss") == b"index"
    assert lake.expire(Policy(1, 0, timedelta()), now=datetime.now(UTC) + timedelta(days=9), dry_run=True).kept == 1
    for change in (
        lambda: lake.publish({"dim_customers": customers(north=[666])}, as_of=AS_OF),
        lambda: lake.rollback(release.id),
    ):
        with pytest.raises(LakeError, match=r"policy of its role.*ACCESS_DENIED"):
            change()
    assert set(keys_of(server.client(), READABLE, "prod/")) == before
    assert lake.release(release.id) == release


def test_an_exporters_policy_publishes_rolls_back_and_expires(server: Seaweed, tmp_path: Path) -> None:
    catalog, place = f"sqlite:///{tmp_path}/catalog.db", f"s3://{READABLE}/prod/of-its-own"
    lake = Lake.open(catalog, place, **server.properties("exporter"))
    first, _ = (
        lake.publish({"dim_customers": customers(north=[n], north2=[9])}, as_of=AS_OF, files={"a": b"%d" % n})
        for n in (1, 2)
    )
    back = lake.rollback(first.id)
    done = lake.expire(Policy(1, 0, timedelta()), now=datetime.now(UTC) + timedelta(minutes=1))
    assert (done.releases, done.kept, done.busy) == (("r000001", "r000002"), 1, ())
    assert [numbers(read(lake, tenant, back)) for tenant in TENANTS] == [[1], [9]]
    assert lake.read_file(back, "a") == b"1"
    data = keys_of(server.client(), READABLE, "prod/of-its-own/lake/dim_customers/data/")
    assert len([key for key in data if key.endswith(".parquet")]) == 2


@pytest.fixture
def guarded(server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The server over TLS, as the account of the lake."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(server.certificate))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.https_url)
    monkeypatch.setattr("mercurios.storage.aws._CONFIG", Config(retries={"total_max_attempts": 1}))
    return Aws(server.session(), "eu-central-1", ACCOUNT, "aws")


def only(*aspects: str) -> Resource:
    """The lake's bucket with these aspects."""
    bucket = next(one for one in resources(GUARDED_NAMES, ()) if str(one) == f"bucket {GUARDED}")
    return replace(bucket, aspects={name: bucket.aspects[name] for name in aspects})


def ensure(aws: Aws) -> None:
    if KINDS["bucket"].read(aws, only()) is None:
        KINDS["bucket"].create(aws, only())


NOT_THERE = {
    "public access": "SeaweedFS answers PutPublicAccessBlock with NotImplemented",
    "lifecycle": "SeaweedFS knows no transitions to other storage classes (NotImplemented)",
    "replication": "SeaweedFS replicates between clusters, not by PutBucketReplication",
}


@pytest.mark.parametrize(
    "aspect",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=NOT_THERE[name], strict=True, raises=ClientError))
        if name in NOT_THERE
        else name
        for name in resources(GUARDED_NAMES, ())[2].aspects
    ],
)
def test_an_aspect_stays_on_a_real_server_as_it_was_set(guarded: Aws, aspect: str) -> None:
    ensure(guarded)
    resource, kind = only(aspect), KINDS["bucket"]
    kind.write(guarded, resource, aspect)
    found = kind.read(guarded, resource)
    assert found is not None
    assert {name: found[aspect].get(name) for name in resource.aspects[aspect]} == resource.aspects[aspect]


def test_the_path_of_the_data_keeps_what_is_declared(guarded: Aws, server: Seaweed) -> None:
    ensure(guarded)
    for aspect in ("encryption", "versioning", "policy"):
        KINDS["bucket"].write(guarded, only(aspect), aspect)
    checks = {check.name: check for check in probe(guarded, GUARDED_NAMES, server.url)}
    assert {name: check.outcome for name, check in checks.items()} == dict.fromkeys(
        (
            "write and read",
            "encryption",
            "public read",
            "public write",
            "write with aws:kms",
            "write with a customer's key",
            "plain HTTP",
            "delete",
        ),
        Outcome.KEPT,
    )
    assert not list(keys_of(guarded.s3("eu-central-1"), GUARDED))


def test_a_bucket_without_its_policy_is_found_out(guarded: Aws, server: Seaweed) -> None:
    ensure(guarded)
    s3 = guarded.s3("eu-central-1")
    KINDS["bucket"].write(guarded, only("versioning"), "versioning")
    opened = {"OpenToAll": {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:PutObject"]}}
    opened["OpenToAll"]["Resource"] = f"arn:aws:s3:::{GUARDED}/*"
    s3.put_bucket_policy(Bucket=GUARDED, Policy=policy(opened))
    s3.delete_bucket_encryption(Bucket=GUARDED)
    wrong = {c.name for c in probe(guarded, GUARDED_NAMES, server.url) if c.outcome is Outcome.DEVIATION}
    assert wrong == {"encryption"}
    KINDS["bucket"].write(guarded, only("encryption"), "encryption")
    wrong = {c.name for c in probe(guarded, GUARDED_NAMES, server.url) if c.outcome is Outcome.DEVIATION}
    assert wrong >= {"public read", "plain HTTP", "write with a customer's key"}
    s3.delete_bucket_policy(Bucket=GUARDED)
