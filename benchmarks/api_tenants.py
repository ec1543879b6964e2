"""Twenty merchants to serve: each has all rows of one of the two of `mercurios demo`, under a name of its own.

    home = twenty(Path("var/bench-api"))

The first run makes the demonstration itself, which takes minutes; later ones find both homes and go on.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import yaml

from benchmarks.telling import say
from mercurios import wiring
from mercurios.config import Settings
from mercurios.lake import Lake, Release
from mercurios.release_files import MANIFEST, index_name
from mercurios.retrieval import TenantIndex

TENANTS = tuple(f"shop_{number:02}" for number in range(20))
_DEMO = ("north", "south")


def twenty(folder: Path) -> Path:
    """The home with twenty merchants below the folder; made where it is not there."""
    demo, home = folder / "demo", folder / "twenty"
    if not (demo / "made").exists():
        say("no demonstration here yet: `mercurios demo` makes it, five to ten minutes …\n")
        command = [sys.executable, "-m", "mercurios", "demo"]
        subprocess.run(command, check=True, env=os.environ | {"MERCURIOS_HOME": str(demo)}, stdout=subprocess.DEVNULL)
        (demo / "made").touch()
    if not (home / "made").exists():
        shutil.rmtree(home, ignore_errors=True)
        _copy(Settings(home=demo), Settings(home=home))
        (home / "made").touch()
    return home


def _copy(demo: Settings, settings: Settings) -> None:
    source, target = wiring.open_lake(demo), wiring.open_lake(settings)
    release = source.require_current()
    folder = settings.home / "tenants"
    folder.mkdir(parents=True)
    for number, name in enumerate(TENANTS):
        twin = _DEMO[number % 2]
        say(f"{name}: the rows of {twin}\n")
        described = yaml.safe_load((demo.home / "tenants" / f"{twin}.yaml").read_text())
        described |= {"id": name, "name": name.replace("_", " ").title()}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(described))
        for kind in ("api_key", "api_secret"):
            shutil.copy(demo.home / "tenants" / f"{twin}.{kind}", folder)
        _publish(source, release, twin, target, name, settings)


def _publish(source: Lake, release: Release, twin: str, target: Lake, name: str, settings: Settings) -> None:  # noqa: PLR0913
    reader = source.reader(twin, release)
    tables = {table.name: _renamed(reader.table(table.name), name) for table in release.tables}
    index = TenantIndex.open(source.read_file(release, index_name(twin)), twin, wiring.embedder(settings))
    files = {index_name(name): replace(index, tenant_id=name).to_bytes()}
    if name == TENANTS[0]:
        files[MANIFEST] = source.read_file(release, MANIFEST)
    target.publish(tables, as_of=release.as_of, files=files, tenants=(name,))


def _renamed(rows: pa.Table, name: str) -> pa.Table:
    place = rows.schema.get_field_index("tenant_id")
    return rows.set_column(place, rows.schema.field(place), pa.array([name] * len(rows), rows.schema.field(place).type))
