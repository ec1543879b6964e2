"""`mercurios model list|show|drift|rollback|expire`: who predicts for whom and why, and who did before."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mercurios.commands.options import AsJson, Yes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mercurios.registry import ModelVersion

app = typer.Typer(no_args_is_help=True, help="The models: who is champion and why; give a former one its place back.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="TENANT.forecast.LEVEL or TENANT.recommender.")]


@app.command("list")
def list_(
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List every champion, and the challenger that shadows it."""
    from mercurios.registry import CHALLENGER
    from mercurios.wiring import open_registry, tenant_ids, tenants

    registry, rows = open_registry(), []
    for tenant_id in [tenants().get(name).id for name in tenant or tenant_ids()]:
        for champion in registry.champions(tenant_id):
            beside = registry.find(champion.name, CHALLENGER)
            rows += [_told(version) for version in (champion, beside) if version]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        place = f"{row['name']:<32} {', '.join(row['aliases']):<10} {row['version']:>4}"
        print(f"{place}  {row['method']:<18} {row['reason']}")
    if not rows:
        print("no model yet; `mercurios retrain` makes the first ones")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show every version of a model, what the gate said of those that came to it, and how they did since."""
    from mercurios.errors import NoChampion
    from mercurios.jobs.realized import realized
    from mercurios.wiring import open_lake, open_registry

    registry = open_registry()
    versions = registry.versions(name)
    if not versions:
        raise NoChampion(f"no model {name!r}; `mercurios model list` shows those there are")
    since = realized(name, open_lake()).to_dicts()
    if as_json:
        told = {
            "champions": registry.history(name),
            "versions": [_told(version) for version in versions],
            "realized": since,
        }
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for version in versions:
        row = _told(version)
        print(f"{row['version']:>4}  {row['method']:<18} {row['data_release']}  {', '.join(row['aliases'])}")
        lines = [f"rolled back: {row['rolled_back']}"] if row["rolled_back"] else []
        lines += row["gate"] + [_realized(one) for one in since if one["model_version"] == str(version.version)]
        for line in (row["reason"], *lines):
            print(f"      {line}")
    print(f"champions so far: {', '.join(map(str, registry.history(name))) or 'none'}")


@app.command()
def drift(
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold the last fortnight against what was forecast: what is alarming, and which methods are due.

    `mercurios retrain --only-due`, as the nightly pipeline runs it, compares the methods of those levels.
    """
    from mercurios.jobs.drift import drift as drift_job
    from mercurios.serving import open_session
    from mercurios.wiring import open_lake, open_registry, tenant_ids, tenants

    lake, registry = open_lake(), open_registry()
    release, reports = lake.require_current(), []
    for name in [tenants().get(each).id for each in tenant or tenant_ids()]:
        reports.append(drift_job(open_session(lake.reader(name, release)), registry, as_of=release.as_of))
    if as_json:
        print(json.dumps([asdict(report) for report in reports], indent=2, ensure_ascii=False, default=str))
        return
    for report in reports:
        for level in report.levels:
            name = f"{report.tenant_id}.forecast.{level.level}"
            print(f"{name:<32} {f'due: {level.due}' if level.due else level.unwatched or 'not due'}")
            for alarm in level.alarms:
                print(f"      {alarm.kind}, {abs(alarm.score):.1f} of {alarm.limit:.1f}: {alarm.told}")


@app.command()
def rollback(
    name: Name,
    to: Annotated[int | None, typer.Option("--to", help="The version; the champion before unless said.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept at both versions.")] = "by hand",
    yes: Yes = False,
) -> None:
    """Make a former champion predict again: what it predicted is published, and it gets the alias back.

    Readers swap within seconds. Its method stays champion until another passes the gate; the method that was rolled
    back does not, until somebody goes back to its version.
    """
    from mercurios.jobs.rollback import roll_back
    from mercurios.wiring import open_lake, open_registry

    registry = open_registry()
    target = registry.former(name, to)
    if not yes:
        typer.confirm(f"Serve version {target.version} of {name} instead of what is champion?", abort=True)
    done = roll_back(name, open_lake(), registry, to=target.version, reason=reason)
    print(
        f"{name}: version {done.champion.version} is champion instead of {done.instead_of.version}; "
        f"release {done.release.id} holds what it predicted"
    )


def _realized(one: "Mapping[str, Any]") -> str:
    beside = f" (the champion {_share(one['rival_wape'])} on {one['rivals']:,} of them)" if one["rivals"] else ""
    told = f"WAPE {_share(one['wape'])} over {one['forecasts']:,} forecasts{beside}, bias {_share(one['bias'])}"
    return f"since then as {one['role']}: {told}, {_share(one['coverage80'])} in the 80 % interval"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def _told(version: "ModelVersion") -> dict[str, Any]:
    from mercurios.registry import WITHDRAWN

    tags = version.tags
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "method": json.loads(tags.get("candidate", "{}")).get("name", "unknown"),
        "data_release": tags.get("data_release", ""),
        "as_of": tags.get("as_of", ""),
        "reason": version.reason,
        "rolled_back": tags.get(WITHDRAWN, ""),
        "gate": tags.get("gate", "").splitlines(),
    }


@app.command()
def expire(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False, yes: Yes = False
) -> None:
    """Remove versions that are too old, with their files; their runs stay, with numbers, tables and pictures.

    Kept are the newest ones, all younger than some days (the settings of releases), those with an alias, and those of
    a rollback.
    """
    from mercurios.wiring import expire_models

    now = datetime.now(UTC)
    plan = expire_models(now, dry_run=True)
    for version in plan:
        print(f"{version.name:<32} {version.version:>4}  {version.created_at.date()}")
    if dry_run or not plan:
        print(f"{len(plan)} versions would go" if plan else "no version is too old")
        return
    if not yes:
        typer.confirm(f"Remove these {len(plan)} versions?", abort=True)
    print(f"{len(expire_models(now))} versions are gone")
