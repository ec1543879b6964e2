"""Status for people and for programs: `mercurios status`, `mercurios status --json`."""

import json
from dataclasses import asdict

from mercurios import wiring
from mercurios.config import Settings
from mercurios.running import last_summary


def status_json(settings: Settings) -> str:
    """Tenants with raw and mart rows, quarantine, champions and freshness; the release; the newest pipeline run."""
    found = asdict(wiring.status(settings))
    return json.dumps({**found, "pipeline": last_summary(settings)}, indent=2, default=str)


def status_text(settings: Settings) -> str:
    """The same, short."""
    status = wiring.status(settings)
    release = status.release
    lines = [f"release   {release.id} of {release.at[:16]} UTC" if release else "release   none yet"]
    for tenant in status.tenants:
        fresh = tenant.freshness
        sales = f"sales up to {fresh.last_sale_on}" if fresh.last_sale_on else "no sales published yet"
        read = f"read {fresh.ingested_at[:16]} UTC" if fresh.ingested_at else "never read"
        lines.append(f"\n{tenant.id}: {sales}, {read}")
        lines += [
            f"  raw   {entity:<20} {one.rows:>10,} rows {one.quarantined:>8,} quarantined"
            for entity, one in tenant.raw.items()
            if one.rows or one.quarantined
        ]
        lines += [f"  mart  {name:<20} {rows:>10,} rows" for name, rows in tenant.marts.items() if rows]
        lines += [f"  model {name:<20} version {one.version}: {one.reason}" for name, one in tenant.champions.items()]
    return "\n".join(lines)
