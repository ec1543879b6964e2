"""Expire: releases that are too old leave the lake, and the files that no release needs; so do versions of models."""

from datetime import UTC, datetime

from prefect import flow

from flows import artifacts
from mercurios import wiring
from mercurios.lake import Expiry


@flow(name="expire")
def expire(as_of: datetime | None = None) -> Expiry:
    """Expire by the policy of the settings; on a schedule of its own, for nobody waits for it."""
    now = as_of or datetime.now(UTC)
    models = wiring.expire_models(now)
    report = wiring.expire_releases(now)
    artifacts.expiry(report, models)
    return report
