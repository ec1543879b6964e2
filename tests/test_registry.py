"""The registry: runs, versions, aliases and loading, for two tenants on one MLflow; and over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import mlflow
import polars as pl
import pytest

from mercurios.errors import ConfigError, ModelError, NoChampion
from mercurios.jobs.expire import expire_models
from mercurios.lake import Policy
from mercurios.recommendation import Purchases, ServedRecommender
from mercurios.recommendation.frequency import GlobalTop
from mercurios.recommendation.served import LOADER
from mercurios.registry import CHALLENGER, CHAMPION, ROLLED_BACK_TO, WITHDRAWN, ModelVersion, Registry, SavedModel


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlruns')}/mlflow.db"


@pytest.fixture(scope="module")
def registry(url: str) -> Registry:
    return Registry.open(url)


def save_top(folder: Path, *articles: int) -> SavedModel:
    """A recommender that puts forward these articles, the first one most often bought."""
    receipts = [
        (f"{article}-{n}", article) for place, article in enumerate(articles) for n in range(len(articles) - place)
    ]
    lines = pl.DataFrame(
        {
            "customer_number": [1] * len(receipts),
            "receipt_id": [receipt for receipt, _ in receipts],
            "article_number": [article for _, article in receipts],
            "sold_at": [0] * len(receipts),
        }
    ).with_columns(pl.col("sold_at").cast(pl.Datetime("us", "UTC")))
    folder.mkdir()
    ServedRecommender.of(GlobalTop(), Purchases.of(lines)).save(folder)
    return SavedModel(folder, LOADER)


def register(
    registry: Registry, tenant: str, model: SavedModel, ndcg: float, kind: str = "recommender"
) -> ModelVersion:
    with registry.run(tenant, kind, params={"k": "10"}, tags={"data_release": "r000007"}) as run:
        run.log_metrics({"ndcg": ndcg, "unknown": float("nan")})
        run.log_table("scores", pl.DataFrame({"name": ["GlobalTop"], "value": [ndcg]}))
        run.log_png("chart.png", b"\x89PNG")
        return run.register(model, tags={"candidate": "GlobalTop"})


def test_two_tenants_have_champions_of_their_own(registry: Registry, tmp_path: Path) -> None:
    for tenant, article in (("north", 5), ("south", 9)):
        version = register(registry, tenant, save_top(tmp_path / tenant, article), article / 10)
        registry.promote(version, CHAMPION, f"first of {tenant}")
    north, south = registry.champion("north.recommender"), registry.champion("south.recommender")
    assert (north.metrics, south.metrics) == ({"ndcg": 0.5}, {"ndcg": 0.9})
    assert north.reason == "first of north"
    assert north.tags == {"candidate": "GlobalTop"}
    assert north.aliases == (CHAMPION,)
    for champion, article in ((north, 5), (south, 9)):
        told = registry.load(champion).predict(pl.DataFrame({"customer_number": [1], "limit": [3]}))
        assert told["article_number"].to_list() == [article]
    assert [version.name for version in registry.champions("north")] == ["north.recommender"]
    assert [version.name for version in registry.champions("south")] == ["south.recommender"]
    assert registry.champions("nort") == ()


def test_a_run_keeps_release_parameters_numbers_and_pictures(registry: Registry, url: str, tmp_path: Path) -> None:
    version = register(registry, "kept", save_top(tmp_path / "model", 5), 0.25)
    client = mlflow.MlflowClient(url, url)
    run = client.get_run(version.run_id)
    assert run.data.params == {"k": "10"}
    assert run.data.tags["data_release"] == "r000007"
    assert run.data.tags["tenant"] == "kept"
    assert run.info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(version.run_id)} == {"scores.json", "chart.png", "model"}
    location = Path(url.removeprefix("sqlite:///")).parent / "artifacts"
    assert run.info.artifact_uri.startswith(location.as_uri()), "artifacts lie beside the database"


def test_a_promotion_moves_the_alias_and_says_why(registry: Registry, tmp_path: Path) -> None:
    old = register(registry, "moves", save_top(tmp_path / "old", 5), 0.1)
    new = register(registry, "moves", save_top(tmp_path / "new", 6), 0.2)
    registry.promote(old, CHAMPION, "first")
    promoted = registry.promote(new, CHAMPION, "beats version 1")
    registry.promote(old, CHALLENGER, "stepped down")
    assert (old.version, new.version) == (1, 2)
    assert promoted.reason == "beats version 1"
    assert registry.champion("moves.recommender").version == 2
    challenger = registry.find("moves.recommender", CHALLENGER)
    assert challenger is not None
    assert (challenger.version, challenger.reason) == (1, "stepped down")
    registry.retire("moves.recommender", CHALLENGER)
    registry.retire("moves.recommender", CHALLENGER)
    assert registry.find("moves.recommender", CHALLENGER) is None


def test_former_champions_are_remembered_and_can_come_back(registry: Registry, tmp_path: Path) -> None:
    name, articles = "back.recommender", (5, 6, 7)
    versions = [register(registry, "back", save_top(tmp_path / str(article), article), 0.1) for article in articles]
    other = register(registry, "other", save_top(tmp_path / "other", 9), 0.1)
    registry.promote(other, CHAMPION, "first")
    for version in versions:
        registry.promote(version, CHAMPION, "better")
    registry.promote(versions[2], CHAMPION, "again")
    assert registry.history(name) == (1, 2, 3), "who stays is told once"
    back = registry.roll_back(name, None, "3 was too high")
    assert (back.version, back.aliases, back.reason) == (2, (CHAMPION,), "rolled back from version 3: 3 was too high")
    withdrawn = registry.versions(name)[2]
    assert (withdrawn.tags[WITHDRAWN], withdrawn.tags[ROLLED_BACK_TO], withdrawn.aliases) == ("3 was too high", "2", ())
    assert registry.roll_back(name, None, "neither").version == 1, "not 3, which was rolled back"
    again = registry.roll_back(name, 3, "it was the data")
    assert (again.version, WITHDRAWN in again.tags) == (3, False)
    assert registry.history(name) == (1, 2, 3, 2, 1, 3)
    assert registry.champion("other.recommender").version == 1
    assert registry.history("other.recommender") == (1,)


def test_there_is_no_going_back_to_who_was_no_champion(registry: Registry, tmp_path: Path) -> None:
    name, only = "young.recommender", register(registry, "young", save_top(tmp_path / "only", 5), 0.1)
    with pytest.raises(NoChampion):
        registry.roll_back(name, None, "")
    registry.promote(only, CHAMPION, "first")
    never = register(registry, "young", save_top(tmp_path / "never", 6), 0.1)
    for to in (None, never.version, only.version, 99):
        with pytest.raises(ModelError, match=r"version 1 is champion.*former champions are none"):
            registry.roll_back(name, to, "")
    assert registry.champion(name).version == 1
    assert WITHDRAWN not in registry.champion(name).tags


def test_a_file_of_a_version_is_read_as_it_was_kept(registry: Registry, tmp_path: Path) -> None:
    model = save_top(tmp_path / "model", 5)
    (model.folder / "published.parquet").write_bytes(b"rows")
    version = register(registry, "reads", model, 0.1)
    assert registry.read(version, "published.parquet") == b"rows"
    with pytest.raises(ModelError, match=r"reads\.recommender version 1 holds no other\.parquet"):
        registry.read(version, "other.parquet")


def test_without_a_champion_it_says_what_to_run(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(NoChampion, match="run `mercurios retrain`"):
        registry.champion("nobody.recommender")
    register(registry, "unpromoted", save_top(tmp_path / "model", 5), 0.1)
    with pytest.raises(NoChampion):
        registry.champion("unpromoted.recommender")
    assert registry.champions("unpromoted") == ()


def test_a_run_that_fails_is_marked_and_registers_nothing(registry: Registry, url: str) -> None:
    with pytest.raises(ZeroDivisionError), registry.run("fails", "recommender", params={}, tags={}):
        raise ZeroDivisionError
    client = mlflow.MlflowClient(url, url)
    experiment = client.get_experiment_by_name("fails.recommender")
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert registry.champions("fails") == ()


def test_plain_mlflow_loads_a_champion_by_its_alias(registry: Registry, url: str, tmp_path: Path) -> None:
    registry.promote(register(registry, "plain", save_top(tmp_path / "model", 7, 8), 0.1), CHAMPION, "first")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(url)
    try:
        model = mlflow.pyfunc.load_model("models:/plain.recommender@champion")
    finally:
        mlflow.set_tracking_uri(before)
    told = model.predict(pl.DataFrame({"customer_number": [1]}).to_pandas())
    assert told["article_number"].to_list() == [7, 8]


def test_nothing_that_could_run_is_stored(registry: Registry, url: str, tmp_path: Path) -> None:
    version = register(registry, "safe", save_top(tmp_path / "model", 5), 0.1)
    folder = Path(mlflow.MlflowClient(url, url).get_run(version.run_id).info.artifact_uri.removeprefix("file://"))
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert not kinds & {".pkl", ".pickle", ".joblib", ".py"}


def test_a_version_whose_files_are_gone_is_a_model_error(registry: Registry, url: str, tmp_path: Path) -> None:
    version = register(registry, "gone", save_top(tmp_path / "model", 5), 0.1)
    folder = Path(mlflow.MlflowClient(url, url).get_run(version.run_id).info.artifact_uri.removeprefix("file://"))
    (folder / "model").rename(folder / "elsewhere")
    with pytest.raises(ModelError, match=r"gone\.recommender version 1"):
        registry.load(version)


@pytest.mark.parametrize("url", ["", "mlruns", "file:///tmp/mlruns", "postgres://host/db"])
def test_a_place_that_is_none_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="expected sqlite:///PATH or http"):
        Registry.open(url)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = (
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    )
    command = (
        sys.executable,
        "-m",
        "mlflow",
        "server",
        *where,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    )
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, process_group=0)
    try:
        _await(f"http://127.0.0.1:{port}/health", child, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(child.pid, signal.SIGKILL)  # it holds nothing worth a polite end, which takes it ten seconds
        child.wait(20)


def _await(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def test_a_server_keeps_and_gives_back_models(server: str, tmp_path: Path) -> None:
    registry = Registry.open(server)
    registry.promote(register(registry, "remote", save_top(tmp_path / "model", 3), 0.3), CHAMPION, "first")
    champion = Registry.open(server).champion("remote.recommender")
    told = registry.load(champion).predict(pl.DataFrame({"customer_number": [1]}))
    assert told["article_number"].to_list() == [3]
    assert registry.champions("other") == ()
    assert registry.find("remote.recommender", CHALLENGER) is None
    assert registry.find("nobody.recommender", CHAMPION) is None


@pytest.mark.parametrize("place", ["sqlite", "server"])
def test_versions_that_are_too_old_go_with_their_files(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Seven versions of north: the champion, one of a rollback, what it went back to, and the newest two stay."""
    url = request.getfixturevalue("server") if place == "server" else f"sqlite:///{tmp_path}/m.db"
    registry, client = Registry.open(url), mlflow.MlflowClient(url)
    model = save_top(tmp_path / "model", 3)
    versions = [register(registry, "old", model, 0.3) for _ in range(8)]
    other = [register(registry, "old_times", model, 0.3) for _ in range(4)]
    for number in (2, 3):
        registry.promote(versions[number], CHAMPION, "better")
    registry.roll_back("old.recommender", None, "no good")
    registry.promote(versions[4], CHAMPION, "better again")
    policy, later = Policy(releases=2, days=30), datetime.now(UTC) + timedelta(days=31)
    for now, numbers in ((datetime.now(UTC) + timedelta(days=29), []), (later, [1, 2, 6])):
        told = expire_models(registry, ["old"], policy, now=now, dry_run=True)
        assert [version.version for version in told] == numbers
    assert len(registry.versions("old.recommender")) == 8
    assert expire_models(registry, ["old"], policy, now=later) == told
    assert [version.version for version in registry.versions("old.recommender")] == [3, 4, 5, 7, 8]
    assert registry.versions("old_times.recommender") == tuple(other)
    for version in registry.versions("old.recommender"):
        registry.load(version)
    assert client.get_run(versions[0].run_id).data.metrics == {"ndcg": 0.3}
    assert not client.list_artifacts(versions[0].run_id, "model")
    assert expire_models(registry, ["old"], policy, now=later) == ()
