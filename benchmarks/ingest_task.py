"""What a contender of the ingest benchmark is told, and what it tells of its memory. Needs the standard library only.

Task(database, tenant_files, ("north",), ("sale",), "2018-01-01T05:00:00+00:00").write(path)
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Task:
    """Tenants and entities to load into a DuckDB file.

    filters: as in a tenant file, none when empty. columns: wanted fields with dlt's types, by entity. trimmed:
    entities that come with more fields than those.
    """

    database: str
    tenant_folder: str
    auth_url: str
    tenants: tuple[str, ...]
    entities: tuple[str, ...]
    as_of: str
    filters: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    trimmed: tuple[str, ...] = ()
    page_size: int = 1000

    @classmethod
    def read(cls, path: Path) -> "Task":
        """Read what `write` wrote."""
        raw: dict[str, Any] = json.loads(path.read_text())
        texts: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
        return cls(**texts)

    def write(self, path: Path) -> None:
        """Keep the task as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @property
    def tenant_files(self) -> Path:
        """The folder of the tenant files and their credentials."""
        return Path(self.tenant_folder)

    @property
    def spool(self) -> Path:
        """A folder beside the database."""
        return Path(self.database).parent / "spool"


def peak_mb() -> float:
    """The most memory this process ever had resident (VmHWM: ru_maxrss would begin with the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
