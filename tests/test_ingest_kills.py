"""Ingest is killed, again and again, while the source misbehaves and its records change: nothing is lost, doubled or
resurrected. `make soak` does the same a thousand times and more.

A round: a stand-in with faults and changes drawn by a seed, some runs that are killed, the changes that have not come
about yet, a run that may end. Then the warehouse is held against what the source lists.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mercurios.jobs.quarantine import quarantined
from mercurios.sandbox import Merchant, Mix, Profile, Rules, RunningSandbox, running, seeded_faults
from mercurios.sandbox.enrolment import write_tenant_files
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.conversion import convert
from mercurios.sources.prohandel import ProHandel
from mercurios.tenancy import Filters, TenantDirectory
from mercurios.warehouse.duckdb import DuckDBWarehouse
from tests.killing import Ended, Errand, runs
from tests.tiny import LAST_DAY, tiny_merchant

ENTITIES = ("branch", "article", "customer", "articlesize", "sale")
AT = datetime(2026, 1, 1, 3, tzinfo=UTC)
FILTERS = Filters("modifiedSince", "fromDate", "toDate")
KILLS_A_ROUND = 8
GAVE_UP = "run again later"
TROUBLES = ("status", "closed", "cut", "slow", "expired", "repeated", "login")
# A source that selects by itself shows changes and open days only: records are then deleted by their mark, or (below)
# on an open day. One that does not is read completely, so that everything may happen to every record, and some records
# are broken, other ones in every round.
SCENARIOS = {
    "read completely": (
        Rules(),
        Mix(kinds=(*TROUBLES, "drift", "insert", "late", "update", "silent", "delete", "mark_deleted")),
        {"articlesize": 2, "sale": 3},
    ),
    "read by windows": (Rules(filters=FILTERS), Mix(kinds=(*TROUBLES, "insert", "late", "update", "mark_deleted")), {}),
}


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Errand], Ended]]:
    with runs() as started:
        yield started


@dataclass
class Shop:
    """One merchant over all rounds: what it has now, and how often its reader was killed."""

    home: Path
    name: str
    rules: Rules
    mix: Mix
    broken: Mapping[str, int]
    chance: random.Random
    entities: Mapping[str, pl.DataFrame]
    run: Callable[[Errand], Ended] = field(repr=False)
    hours: int = 0
    sent: Mapping[str, set[str | None]] = field(default_factory=dict)
    calls: int = 4_000
    seconds: float = 1.0
    kills: int = 0
    resumed: int = 0

    def round(self) -> None:
        seed = self.chance.getrandbits(32)
        faults = seeded_faults(seed, replace(self.mix, requests=150, changes=12, entities=ENTITIES[1:]))
        faults = replace(faults, wrong_types=self.broken, seed=seed)
        merchant = Merchant(self.name, f"{self.name}-key", f"{self.name}-secret", self.entities, Profile(), faults)
        with running([merchant], rules=self.rules) as sandbox:
            write_tenant_files([merchant], self.home / "tenants", sandbox.auth_url, rules=self.rules)
            for _ in range(self.chance.randint(3, KILLS_A_ROUND)):
                self.kill()
                self.delete_on_an_open_day(sandbox)
            sandbox.settle(self.name)
            self.finish()
            self.entities = {entity: sandbox.current(self.name, entity) for entity in ENTITIES}
            self.sent = {entity: self.sent_broken(entity) for entity in self.broken}
        self.check(self.sent)

    def kill(self) -> None:
        """One run that dies at a place drawn by the seed; it may also end before, or give up on faults in a row."""
        errand = self.errand()
        if self.chance.random() < 0.6:
            ended = self.run(replace(errand, at_call=self.chance.randint(1, self.calls)))
        else:
            ended = self.run(replace(errand, after_ms=self.chance.uniform(0, 1000 * self.seconds)))
        assert ended.error is None or ended.error.endswith(GAVE_UP), ended.error
        self.kills += ended.was_killed
        self.resumed += ended.was_resumed

    def finish(self) -> None:
        """Run to the end; when pages of an earlier run were in it, once more, for what changed behind them."""
        for _ in range(2):
            ended = self.run(self.errand())
            assert ended.error is None, ended.error
            assert not ended.was_killed
            self.resumed += ended.was_resumed
            if not ended.was_resumed:
                self.calls, self.seconds = ended.calls, max(ended.seconds, 0.05)
                return
        assert not ended.was_resumed

    def errand(self) -> Errand:
        self.hours += 1
        at = AT + timedelta(minutes=self.hours)
        return Errand(str(self.home), self.name, at.isoformat(), entities=ENTITIES)

    def delete_on_an_open_day(self, sandbox: RunningSandbox) -> None:
        listed = sandbox.current(self.name, "sale")
        recent = listed.filter(pl.col("date") >= (LAST_DAY - timedelta(days=5)).isoformat())["id"].sort().to_list()
        if recent and self.chance.random() < 0.5:
            sandbox.delete(self.name, "sale", self.chance.sample(recent, min(2, len(recent))))

    def sent_broken(self, entity: str) -> set[str | None]:
        """Ids of the records that the source sends broken; some that were to be may have been deleted."""
        with ProHandel(TenantDirectory(self.home / "tenants").get(self.name)) as source:
            pages = [convert(CONTRACTS[entity], page.records) for page in source.read(entity)]
        return {record.record_id for page in pages for record in page.quarantined}

    def check(self, sent_broken: Mapping[str, set[str | None]]) -> None:
        with DuckDBWarehouse.open(f"duckdb:///{self.home}/warehouse.duckdb", read_only=True) as warehouse:
            for entity in ENTITIES:
                table = pl.DataFrame(warehouse.table(f"raw.prohandel_{entity}")).filter(tenant_id=self.name)
                assert table["id"].is_unique().all(), f"{entity}: doubled"
                living = table.filter(pl.col("_deleted_at").is_null())
                expected = oracle(entity, self.entities[entity])
                found, listed = by_id(living.select(expected.columns)), by_id(expected)
                held = [one.record_id for one in quarantined(warehouse, self.name, entity)]
                broken = sent_broken.get(entity, set())
                assert sorted(map(str, held)) == sorted(map(str, broken)), f"{entity}: quarantine"
                assert sorted(listed.keys() - found.keys() - broken) == [], f"{entity}: lost"
                assert sorted(found.keys() - listed.keys() - broken) == [], f"{entity}: resurrected"
                for one in listed.keys() - broken:
                    assert found[one] == listed[one], entity
            for batch in warehouse.batches():
                assert batch.counts.extracted == batch.counts.loaded + batch.counts.quarantined


def oracle(entity: str, listed: pl.DataFrame) -> pl.DataFrame:
    """What the warehouse has to hold as living rows, from the source alone."""
    converted = convert(CONTRACTS[entity], listed.to_dicts())
    assert not converted.quarantined
    living = (
        converted.frame.filter(~pl.col("is_deleted")) if "is_deleted" in converted.frame.columns else converted.frame
    )
    return living.drop("_variant")


def by_id(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in frame.to_dicts()}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.timeout(3600)
def test_killed_at_any_point_nothing_is_lost_doubled_or_resurrected(
    scenario: str, run: Callable[[Errand], Ended], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    wanted = request.config.getoption("--kills") // len(SCENARIOS)
    rules, mix, broken = SCENARIOS[scenario]
    shops = []
    for number, name in enumerate(("north", "south"), start=1):
        entities = {
            entity: frame for entity, frame in tiny_merchant(number, lines_a_day=2).items() if entity in ENTITIES
        }
        shop = Shop(tmp_path, name, rules, mix, broken, random.Random(f"{scenario}/{name}"), entities, run)
        shops.append(shop)
        while shop.kills < wanted / 2:
            shop.round()
    shops[0].check(shops[0].sent)  # what was done to the other merchant meanwhile has done nothing to this one
    assert sum(shop.resumed for shop in shops) > wanted / 20, "hardly a read was ever taken up again"
