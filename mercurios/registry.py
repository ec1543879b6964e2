"""MLflow: the only store of models, their runs and their versions.

    registry = Registry.open("sqlite:///var/mlruns/mlflow.db")
    with registry.run("north", "forecast.branch", params={"horizon": "28"}, tags={"data_release": "r000001"}) as run:
        run.log_metrics({"wape": 0.61})
        version = run.register(SavedModel(folder, loader="mercurios.forecasting.fitted"), tags={"candidate": "AutoETS"})
    registry.promote(version, CHAMPION, "beats SeasonalNaive")
    registry.champion("north.forecast.branch").metrics["wape"]

A registered model is a folder of plain files plus the name of the module that reads it (its `_load_pyfunc`): nothing is
pickled. `mlflow.pyfunc.load_model("models:/north.forecast.branch@champion")` works wherever mercurios is installed.
"""

import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import polars as pl

from mercurios.errors import ConfigError, ModelError, NoChampion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.pyfunc import PyFuncModel

CHAMPION = "champion"
CHALLENGER = "challenger"
WITHDRAWN = "rolled_back"
ROLLED_BACK_TO = "rolled_back_to"
"""Tags of a version that was rolled back: why, and to which version."""
_REASON = "promotion"
_HISTORY = "champions"
_REMEMBERED = 500  # champions; MLflow's tags hold 5,000 characters


@dataclass(frozen=True)
class SavedModel:
    """A model written to a folder; `loader` is the module whose `_load_pyfunc(path)` reads it."""

    folder: Path
    loader: str


@dataclass(frozen=True)
class ModelVersion:
    """One registered version; `name` is tenant.kind, `metrics` are those of the run it came from; created_at is UTC."""

    name: str
    version: int
    run_id: str
    aliases: tuple[str, ...]
    reason: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    created_at: datetime


class Registry:
    """The only owner of MLflow. Holds a client and no global state."""

    def __init__(self, client: "MlflowClient", artifact_root: str | None) -> None:
        self._client = client
        self._artifact_root = artifact_root

    @classmethod
    def open(cls, url: str, artifact_root: str | None = None) -> "Registry":
        """Open `sqlite:///PATH` (made if missing, artifacts beside it) or `http(s)://HOST`; raises ConfigError."""
        scheme = url.partition(":")[0]
        if scheme not in {"sqlite", "http", "https"}:
            raise ConfigError(f"MLflow of scheme {scheme!r}: expected sqlite:///PATH or http(s)://HOST")
        if scheme == "sqlite":
            folder = Path(url.removeprefix("sqlite:///")).resolve().parent
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            artifact_root = artifact_root or (folder / "artifacts").as_uri()
        with _quiet():
            return cls(_mlflow().MlflowClient(tracking_uri=url, registry_uri=url), artifact_root)

    @contextmanager
    def run(self, tenant_id: str, kind: str, *, params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator["Run"]:
        """Open a run in the experiment tenant.kind; one that leaves with an error is marked failed."""
        name = f"{tenant_id}.{kind}"
        started = self._client.create_run(self._experiment(name), tags={"tenant": tenant_id, "kind": kind, **tags})
        run = Run(self._client, started.info.run_id, name, started.info.artifact_uri)
        try:
            for key, value in params.items():
                self._client.log_param(run.id, key, value)
            yield run
        except BaseException:
            self._client.set_terminated(run.id, "FAILED")
            raise
        self._client.set_terminated(run.id, "FINISHED")

    def promote(self, version: ModelVersion, alias: str, reason: str) -> ModelVersion:
        """Point the alias at a version and write down why; whoever had it loses it."""
        self._client.set_registered_model_alias(version.name, alias, str(version.version))
        self._client.set_model_version_tag(version.name, str(version.version), _REASON, reason)
        self._client.update_model_version(version.name, str(version.version), description=f"{alias}: {reason}")
        if alias == CHAMPION:
            self._remember(version)
        return self._read(self._client.get_model_version(version.name, str(version.version)))

    def retire(self, name: str, alias: str) -> None:
        """Take the alias away from whatever version of `name` has it."""
        if self.find(name, alias) is not None:
            self._client.delete_registered_model_alias(name, alias)

    def roll_back(self, name: str, to: int | None, reason: str) -> ModelVersion:
        """Give the alias champion back to a version that had it, and write why at both.

        to: the version; without, the last champion before this one that was not rolled back itself.
        Raises NoChampion, or ModelError naming the versions that can be gone back to.
        """
        now, target = self.champion(name), self.former(name, to)
        for tag, value in ((WITHDRAWN, reason), (ROLLED_BACK_TO, str(target.version))):
            self._client.set_model_version_tag(name, str(now.version), tag, value)
            if tag in target.tags:
                self._client.delete_model_version_tag(name, str(target.version), tag)
        return self.promote(target, CHAMPION, f"rolled back from version {now.version}: {reason}")

    def former(self, name: str, wanted: int | None = None) -> ModelVersion:
        """The version that `roll_back` would go back to; raises as it does."""
        now = self.champion(name)
        past = tuple(dict.fromkeys(number for number in reversed(self.history(name)) if number != now.version))
        for number in past if wanted is None else {wanted}.intersection(past):
            version = self.version(name, number)
            if version is not None and (wanted is not None or WITHDRAWN not in version.tags):
                return version
        asked = "one before it that was not rolled back" if wanted is None else f"version {wanted}"
        raise ModelError(
            f"{name}: version {now.version} is champion, there is no going back to {asked}; "
            f"former champions are {', '.join(map(str, past)) or 'none'}, name one with --to"
        )

    def history(self, name: str) -> tuple[int, ...]:
        """Versions that have been champion, oldest first; one that came back stands there twice."""
        tags = self._client.get_registered_model(name).tags
        return tuple(int(number) for number in tags.get(_HISTORY, "").split())

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of that name, oldest first."""
        return self._chosen(name, lambda version: True)

    def withdrawn(self, name: str) -> tuple[ModelVersion, ...]:
        """The versions that were rolled back, oldest first."""
        return self._chosen(name, lambda version: WITHDRAWN in version.tags)

    def version(self, name: str, number: int) -> ModelVersion | None:
        """One version, or None when it is not there any more."""
        try:
            return self._read(self._client.get_model_version(name, str(number)))
        except _mlflow().exceptions.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise ModelError(f"MLflow could not tell version {number} of {name!r}: {error.message}") from error

    def read(self, version: ModelVersion, name: str) -> bytes:
        """One of the files the version was registered with; raises ModelError when it is not there."""
        with self._files(version) as folder:
            found = next(folder.glob(f"data/*/{name}"), None)
            if found is None:
                raise ModelError(f"{version.name} version {version.version} holds no {name}; choose another version")
            return found.read_bytes()

    def champion(self, name: str) -> ModelVersion:
        """The champion of that name; raises NoChampion."""
        found = self.find(name, CHAMPION)
        if found is None:
            raise NoChampion(f"no version of {name!r} carries the alias `{CHAMPION}`; run `mercurios retrain` first")
        return found

    def champions(self, tenant_id: str) -> tuple[ModelVersion, ...]:
        """The champions of one tenant, sorted by name."""
        return tuple(found for name in self._names(tenant_id) if (found := self.find(name, CHAMPION)) is not None)

    def outdated(self, tenant_id: str, *, before: datetime, newest: int) -> tuple[ModelVersion, ...]:
        """Versions of one tenant that are older than a moment and none of the newest of their name.

        Without those that hold an alias, and those of a rollback, which say what may not become champion again.
        """
        return tuple(old for name in self._names(tenant_id) for old in self._outdated(name, before, newest))

    def remove(self, version: ModelVersion) -> None:
        """Remove a version and the files it was registered with; its run stays, with numbers, tables and pictures."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        source = self._client.get_model_version(version.name, str(version.version)).source or ""
        try:
            # The files first: a version that lost them is found and removed again, files without a version are not.
            get_artifact_repository(source, tracking_uri=self._client.tracking_uri).delete_artifacts()  # type: ignore[no-untyped-call]
            self._client.delete_model_version(version.name, str(version.version))
        except (_mlflow().exceptions.MlflowException, OSError) as error:
            raise ModelError(f"{version.name} version {version.version} could not be removed: {error}") from error

    def find(self, name: str, alias: str) -> ModelVersion | None:
        """The version of `name` with the alias, or None when there is none."""
        exceptions = _mlflow().exceptions
        try:
            return self._read(self._client.get_model_version_by_alias(name, alias))
        except exceptions.MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise ModelError(f"MLflow could not tell the {alias} of {name!r}: {error.message}") from error

    def load(self, version: ModelVersion) -> "Predictor":
        """Load a version ready to predict; raises ModelError when its files are gone."""
        with self._files(version) as folder:
            return Predictor(_mlflow().pyfunc.load_model(str(folder)))

    @contextmanager
    def _files(self, version: ModelVersion) -> Iterator[Path]:
        source = self._client.get_model_version(version.name, str(version.version)).source or ""
        with tempfile.TemporaryDirectory(prefix="mercurios-model-") as folder:
            try:
                path = self._client.download_artifacts(version.run_id, source.rpartition("/")[2], folder)
            except (_mlflow().exceptions.MlflowException, OSError) as error:
                raise ModelError(f"{version.name} version {version.version}: its files are gone; retrain") from error
            yield Path(path)

    def _chosen(self, name: str, wanted: Callable[["MlflowVersion"], bool]) -> tuple[ModelVersion, ...]:
        found = self._client.search_model_versions(f"name = '{_quoted(name)}'")
        numbers = sorted(int(version.version) for version in found if wanted(version))
        return tuple(self._read(self._client.get_model_version(name, str(number))) for number in numbers)

    def _names(self, tenant_id: str) -> list[str]:
        found = self._client.search_registered_models(f"name LIKE '{_quoted(tenant_id)}.%'")
        return sorted(model.name for model in found if model.name.startswith(f"{tenant_id}."))

    def _outdated(self, name: str, before: datetime, newest: int) -> Iterator[ModelVersion]:
        versions = self.versions(name)
        gone_back_to = {version.tags.get(ROLLED_BACK_TO) for version in versions}
        for version in versions[:-newest]:
            remembered = version.aliases or WITHDRAWN in version.tags or str(version.version) in gone_back_to
            if version.created_at < before and not remembered:
                yield version

    def _remember(self, version: ModelVersion) -> None:
        known = self.history(version.name)
        if known[-1:] != (version.version,):
            told = " ".join(map(str, (*known, version.version)[-_REMEMBERED:]))
            self._client.set_registered_model_tag(version.name, _HISTORY, told)

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        location = f"{self._artifact_root}/{name}" if self._artifact_root else None
        return str(self._client.create_experiment(name, artifact_location=location))

    def _read(self, version: "MlflowVersion") -> ModelVersion:
        run_id = version.run_id or ""
        metrics = self._client.get_run(run_id).data.metrics
        tags = {key: value for key, value in version.tags.items() if key != _REASON}
        return ModelVersion(
            name=version.name,
            version=int(version.version),
            run_id=run_id,
            aliases=tuple(sorted(version.aliases)),
            reason=version.tags.get(_REASON, ""),
            tags=tags,
            metrics=dict(metrics),
            created_at=_moment(version),
        )


@dataclass(frozen=True)
class Run:
    """One open run of one tenant."""

    _client: "MlflowClient"
    id: str
    name: str
    _artifacts: str

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log numbers; those that are none (NaN) are left out, as MLflow's database cannot hold them."""
        entities = _mlflow().entities
        finite = {key: value for key, value in metrics.items() if math.isfinite(value)}
        self._client.log_batch(self.id, metrics=[entities.Metric(key, value, 0, 0) for key, value in finite.items()])

    def log_png(self, name: str, image: bytes) -> None:
        """Keep a picture as `name`."""
        with tempfile.TemporaryDirectory(prefix="mercurios-run-") as folder:
            path = Path(folder, name)
            path.write_bytes(image)
            self._client.log_artifact(self.id, str(path))

    def log_table(self, name: str, rows: pl.DataFrame) -> None:
        """Keep a small table as `name`.json, shown by the MLflow UI."""
        self._client.log_table(self.id, rows.to_dict(as_series=False), f"{name}.json")

    def register(self, model: SavedModel, *, tags: Mapping[str, str], place: str = "model") -> ModelVersion:
        """Keep the model's files with the run, under `place`, and register them as the next version of its name."""
        mlflow = _mlflow()
        with tempfile.TemporaryDirectory(prefix="mercurios-model-") as folder:
            path = Path(folder, place)
            # No list of requirements: models run where mercurios is installed, and guessing one takes seconds.
            mlflow.pyfunc.save_model(path, loader_module=model.loader, data_path=str(model.folder), pip_requirements=[])
            self._client.log_artifacts(self.id, str(path), place)
        self._ensure_name(mlflow)
        made = self._client.create_model_version(self.name, f"{self._artifacts}/{place}", self.id, dict(tags))
        metrics = dict(self._client.get_run(self.id).data.metrics)
        return ModelVersion(self.name, int(made.version), self.id, (), "", dict(tags), metrics, _moment(made))

    def _ensure_name(self, mlflow: ModuleType) -> None:
        try:
            self._client.create_registered_model(self.name)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise ModelError(f"MLflow refused the model name {self.name!r}: {error.message}") from error


class Predictor:
    """A loaded version."""

    def __init__(self, model: "PyFuncModel") -> None:
        self._model = model

    def predict(self, asked: pl.DataFrame) -> pl.DataFrame:
        """Predict; what goes in and out depends on the model (its loader's `_Served.predict` tells)."""
        return pl.from_pandas(self._model.predict(asked.to_pandas()))


@cache
def _mlflow() -> Any:
    with _quiet():
        import mlflow
        import mlflow.artifacts
        import mlflow.exceptions
        import mlflow.pyfunc
        import mlflow.telemetry
        from mlflow import environment_variables as switches

    switches.MLFLOW_DISABLE_TELEMETRY.set(True)  # type: ignore[no-untyped-call]
    mlflow.telemetry.set_telemetry_client()  # type: ignore[no-untyped-call]
    switches.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)  # type: ignore[no-untyped-call]
    switches.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # at INFO it tells of every table it creates
    return mlflow


@contextmanager
def _quiet() -> Iterator[None]:
    # What MLflow warns of while it is imported and opens its database: its own use of others, nothing we could change.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning)
        warnings.filterwarnings("ignore", message="IProgress not found")  # in a notebook without its widgets
        yield


def _moment(version: "MlflowVersion") -> datetime:
    return datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
