"""The tenants of this installation: a folder of tenant files."""

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mercurios.errors import ConfigError, UnknownTenant
from mercurios.tenancy.reading import TENANT_ID, anchored, read_tenant, tenant_text
from mercurios.tenancy.tenant import Tenant

TEMPLATE = Path(__file__).parent / "template.yaml"


@dataclass(frozen=True)
class TenantDirectory:
    """The folder of tenant files, one `<id>.yaml` each."""

    folder: Path

    def ids(self) -> tuple[str, ...]:
        """Ids of all tenants, sorted."""
        files = (path for path in self.folder.glob("*.yaml") if path.is_file())
        return tuple(sorted(path.stem for path in files if TENANT_ID.fullmatch(path.stem)))

    def path(self, tenant_id: str) -> Path:
        """The file of one tenant; raises UnknownTenant listing those that exist."""
        path = self.folder / f"{tenant_id}.yaml"
        if not TENANT_ID.fullmatch(tenant_id) or not path.is_file():
            known = ", ".join(self.ids()) or "none yet"
            raise UnknownTenant(f"no tenant {tenant_id!r}; known: {known}; add one with `mercurios tenant add FILE`")
        return path

    def get(self, tenant_id: str) -> Tenant:
        """Return one tenant; raises UnknownTenant, or ConfigError when its file is wrong."""
        path = self.path(tenant_id)
        tenant = read_tenant(path)
        if tenant.id != tenant_id:
            raise ConfigError(f"{path} holds tenant {tenant.id!r}; its name must be {tenant.id}.yaml")
        return tenant

    def all(self) -> tuple[Tenant, ...]:
        """Every tenant, sorted by id."""
        return tuple(self.get(tenant_id) for tenant_id in self.ids())

    def add(self, file: Path, *, replace: bool = False) -> Path:
        """Copy a tenant file here, whole or not at all, readable by its owner only; returns where it is now.

        Relative paths in it become absolute, so that they mean the same here.
        Raises ConfigError when it is wrong, or when the tenant is there already and `replace` is not said.
        """
        tenant = read_tenant(file)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{tenant.id}.yaml"
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=".", encoding="utf-8", delete=False) as made:
            try:
                made.write(anchored(tenant_text(file), file.parent.absolute()))
                made.flush()
                (os.replace if replace else os.link)(made.name, path)
            except FileExistsError:
                raise ConfigError(
                    f"tenant {tenant.id} is there already as {path}; say --replace to replace it"
                ) from None
            finally:
                with suppress(FileNotFoundError):  # it was renamed
                    os.unlink(made.name)
        return path

    def remove(self, tenant_id: str) -> Path:
        """Delete one tenant's file, right or wrong; raises UnknownTenant."""
        path = self.path(tenant_id)
        path.unlink()
        return path
