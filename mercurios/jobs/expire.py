"""Expire: releases that are too old leave the lake, with what they alone needed; so do versions of models.

report = expire(lake, Policy(releases=30, days=90), now=now, pinned=trained_on(registry, tenant_ids))
report.releases
expire_models(registry, tenant_ids, policy, now=now)
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog

from mercurios.lake import Expiry, Lake, Policy
from mercurios.progress import track
from mercurios.registry import ModelVersion, Registry

log = structlog.get_logger(__name__)

RELEASE = "data_release"
"""The tag by which a model names the release it was trained on."""


def expire(lake: Lake, policy: Policy, *, now: datetime, pinned: Collection[str] = (), dry_run: bool = False) -> Expiry:
    """Expire what the policy does not keep and nobody pins; see `Lake.expire`."""
    report = lake.expire(policy, now=now, pinned=pinned, dry_run=dry_run)
    log.info(
        "expire",
        dry_run=dry_run,
        releases=len(report.releases),
        kept=report.kept,
        snapshots=sum(report.snapshots.values()),
        files=report.files,
        bytes=report.bytes,
        busy=list(report.busy),
    )
    return report


def trained_on(registry: Registry, tenant_ids: Sequence[str]) -> frozenset[str]:
    """Ids of the releases that a champion of these tenants was trained on: without them it cannot be trained again."""
    champions = (champion for tenant_id in tenant_ids for champion in registry.champions(tenant_id))
    return frozenset(champion.tags[RELEASE] for champion in champions if RELEASE in champion.tags)


def expire_models(
    registry: Registry, tenant_ids: Sequence[str], policy: Policy, *, now: datetime, dry_run: bool = False
) -> tuple[ModelVersion, ...]:
    """Remove versions of these tenants' models by the policy for releases; see `Registry.outdated` for what stays.

    What was removed when it broke off is gone, the next time removes the rest.
    """
    before = now - timedelta(days=policy.days)
    found = [registry.outdated(tenant_id, before=before, newest=policy.releases) for tenant_id in tenant_ids]
    gone = tuple(version for versions in found for version in versions)
    if not dry_run:
        with track("expire models", unit="versions", total=len(gone)) as advance:
            for version in gone:
                registry.remove(version)
                advance(1)
    log.info("expire models", dry_run=dry_run, versions=len(gone))
    return gone
