"""Expire: releases that are too old leave the lake, and what they alone needed.

report = expire(lake, Policy(releases=30, days=90), now=now, pinned=trained_on(registry, tenant_ids))
report.releases
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import structlog

from mercurios.lake import Expiry, Lake, Policy
from mercurios.registry import Registry

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
