"""The life of releases on a real S3 server: what changed is written, what is expired is removed, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mercurios.errors import NoRelease
from mercurios.lake import Lake, Policy
from tests.seaweed import Seaweed, seaweed
from tests.test_lake import customers
from tests.test_releases import STRICT, later, numbers, source

AS_OF = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
BUCKET = "releases"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("s3") / "weed") as running:
        running.client().create_bucket(Bucket=BUCKET)
        yield running


def objects(server: Seaweed) -> set[str]:
    found = server.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {each["Key"] for each in found if not each["Key"].endswith("/")}


def test_changed_partitions_rollback_and_expiry_on_s3(server: Seaweed, tmp_path: Path) -> None:
    lake = Lake.open(f"sqlite:///{tmp_path}/catalog.db", f"s3://{BUCKET}/lake", **server.properties())
    server.client().put_object(Bucket=BUCKET, Key="lake/of-somebody-else.txt", Body=b"mine")
    releases = [
        lake.publish(
            {"dim_customers": source(customers(north=[number], south=[9]))}, as_of=AS_OF, files={"a": b"%d" % number}
        )
        for number in (1, 2, 3)
    ]
    data = {name for name in objects(server) if "/dim_customers/data/" in name}
    assert sorted(name.split("tenant_id=")[1][:5] for name in data) == ["north"] * 3 + ["south"]
    back = lake.rollback(releases[0].id)
    assert (numbers(lake, back), numbers(lake, back, "south"), lake.read_file(back, "a")) == ([1], [9], b"1")

    before = objects(server)
    assert lake.expire(Policy(1, 0, timedelta(hours=1)), now=later(), dry_run=True).files == 0
    plan = lake.expire(STRICT, now=later(), dry_run=True)
    assert objects(server) == before
    done = lake.expire(STRICT, now=later())
    assert (plan.releases, done.releases) == (("r000001", "r000002", "r000003"),) * 2
    assert done.files >= plan.files > 8
    data = {name for name in objects(server) if "/dim_customers/data/" in name}
    assert sorted(name.split("tenant_id=")[1][:5] for name in data) == ["north", "south"]
    assert "lake/of-somebody-else.txt" in objects(server)
    assert (numbers(lake, back), numbers(lake, back, "south"), lake.read_file(back, "a")) == ([1], [9], b"1")
    with pytest.raises(NoRelease, match="r000002 was expired"):
        numbers(lake, releases[1])
    again = lake.publish({"dim_customers": source(customers(north=[5], south=[9]))}, as_of=AS_OF)
    assert (again.number, numbers(lake, again), numbers(lake, again, "south")) == (5, [5], [9])
