"""Bundle: the folder that is deployed, as a Connector SDK connection or as a Function, and no more than it needs.

    bundle(Path("build/prohandel"))

Or `python -m mercurios.fivetran.bundle build/prohandel`. The folder holds `connector.py`, `configuration.json` and
`requirements.txt` of `connectors/prohandel`, and beside them every module that they and the handler import.
"""

import argparse
import ast
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mercurios.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CONNECTOR = ROOT / "connectors" / "prohandel"
ENTRIES = ("mercurios.fivetran.sdk", "mercurios.fivetran.functions")


def bundle(folder: Path) -> tuple[Path, ...]:
    """Copy what is deployed into an empty folder; returns the files in it. Raises ConfigError if it is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and not an empty folder; name another one or remove it")
    files = {path.relative_to(CONNECTOR): path for path in CONNECTOR.iterdir() if path.is_file()}
    files |= {path.relative_to(ROOT): path for path in modules()}
    for place, path in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / place)
    return tuple(sorted(files))


def modules() -> tuple[Path, ...]:
    """Files of all modules of Mercurios that the entries import, directly or not, with their packages."""
    found: dict[str, Path] = {}
    waiting = list(ENTRIES)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path and name not in found:
            found[name] = path
            waiting += [name.rpartition(".")[0], *_imported(path)]
    return tuple(sorted(found.values()))


def _file(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if name.startswith("mercurios") and path.is_file()), None)


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def main(arguments: Sequence[str]) -> None:
    """Bundle into the one folder that is named; exits with a line of text when that is not to be done."""
    parser = argparse.ArgumentParser(
        prog="python -m mercurios.fivetran.bundle", description="Make the folder to deploy."
    )
    parser.add_argument("folder", type=Path, help="where to; it is made, or is there and empty")
    folder: Path = parser.parse_args(arguments).folder
    try:
        files = bundle(folder)
    except ConfigError as error:
        sys.exit(str(error))
    own = ", ".join(str(file) for file in files if file.parent == Path())
    told = f"{folder} holds {len(files)} files: {own}, and the modules they need; next: fill in configuration.json"
    sys.stdout.write(told + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
