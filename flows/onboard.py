"""Onboard: a new merchant, from the tenant file to the first release, in one run."""

import re
from datetime import UTC, datetime

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import limits
from flows.export import export
from flows.ingest import ingest
from flows.quality import quality
from flows.transform import transform
from mercurios import wiring
from mercurios.errors import WarehouseError
from mercurios.jobs.ingest.tables import INGEST_TABLES
from mercurios.jobs.onboard import Findings, Onboarding, OnboardReport, findings


@task(task_run_name="prepare-{tenant_id}", cache_policy=NO_CACHE)
def prepare(tenant_id: str) -> None:
    """Create the tables of ingest, and the limit that keeps two ingests of the merchant apart."""
    with wiring.open_warehouse() as warehouse:
        warehouse.ensure(*INGEST_TABLES)
    limits.ensure_ingest_limit(tenant_id)


@flow(name="onboard")
def onboard(tenant: str, as_of: datetime | None = None) -> OnboardReport:
    """Take one merchant in, step by step; the report is an artifact, also when a step fails."""
    moment = as_of or datetime.now(UTC)
    onboarding = Onboarding(tenant)
    score = release = None
    try:
        with onboarding.step("validate") as note:
            merchant = wiring.tenants().get(tenant)
            note(f"{merchant.name}, {merchant.currency}, {merchant.time_zone}")
        with onboarding.step("connect") as note:
            note(wiring.try_source(merchant))
        with onboarding.step("prepare"):
            prepare(tenant)
        with onboarding.step("load") as note:
            loaded = ingest([tenant], moment)[0]
            note(f"{loaded.rows:,} rows, {loaded.quarantined:,} quarantined")
            note(f"not offered: {', '.join(loaded.not_offered) or 'nothing'}")
            note(loaded.stopped or "read to the end")
        with onboarding.step("measure") as note:
            measured = quality([tenant], moment)[0]
            score = measured.score
            note("; ".join((f"score {score:.2%}", *(breach.sentence for breach in measured.breaches))))
        with onboarding.step("transform") as note:
            note(f"{sum(transform().rows.values()):,} rows in the marts of all tenants")
        with onboarding.step("release") as note:
            release = export(moment).release.id
            note(release)
    finally:
        report = onboarding.report(_findings(onboarding, tenant, moment), quality=score, release=release)
        create_markdown_artifact(report.text, key=re.sub(r"[^a-z0-9]", "-", f"onboard-{tenant.lower()}"))
    return report


def _findings(onboarding: Onboarding, tenant: str, since: datetime) -> Findings:
    if not onboarding.has_loaded:
        return Findings()
    try:
        with wiring.open_warehouse() as warehouse:
            return findings(warehouse, tenant, since)
    except WarehouseError:
        if not onboarding.has_failed:
            raise
        return Findings()  # the step that failed is what is to be told
