"""Nothing personal and no credential is anywhere: canaries are planted and everything that was written is searched.

Personal fields of every record, fields that no contract names, records that break their contract, pages that are no
page, a wrong secret: then every file, every table, and what Prefect was told.
"""

import asyncio
import gc
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import structlog

from mercurios import logs, wiring
from mercurios.config import Settings
from mercurios.errors import MercuriosError
from mercurios.jobs.quarantine import quarantined, replay
from mercurios.sandbox import Cut, Fault, Faults, Merchant, NotJson, Profile, Status, running, write_tenant_files
from mercurios.sandbox import Drift as Shape
from mercurios.sources.contracts import CONTRACTS
from mercurios.sources.conversion import convert
from mercurios.sources.prohandel import ProHandel
from tests.tiny import CANARIES, tiny_merchant

AS_OF = datetime(2026, 1, 2, 12, tzinfo=UTC)
NAMES = ("north", "south")
KEY, SECRET = "kanarien-key-{}", "kanarien-secret-0123456789-{}"
PEOPLE = ("customer", "staff", "supplier", "branch", "voucher")
BREAKABLE = ("customer", "supplier", "voucher", "sale")
MAIL = "kanari@example.org"
PLANTED = (*CANARIES, *(KEY.format(name) for name in NAMES), *(SECRET.format(name) for name in NAMES), MAIL)


@dataclass
class Searched:
    """What was written and said, and the errors that were met."""

    home: Path
    errors: list[BaseException] = field(default_factory=list)
    reprs: list[str] = field(default_factory=list)


def merchant(name: str, seed: int) -> Merchant:
    drifts = [Shape(entity, new={"nickname": CANARIES[0], "remark": MAIL, "badge": 7}) for entity in PEOPLE]
    drifts += [Shape("sale", new={"cashierMail": MAIL, "hint": MAIL, "payload": {"iban": CANARIES[1], "mail": MAIL}})]
    drifts += [Shape("staff", retyped={"number": "object", "isActive": "text"})]
    faults = Faults(
        wrong_types=dict.fromkeys(BREAKABLE, 5),
        orders=[Fault(Status(401), request=7), Fault(Cut(0.5), "customer"), Fault(Status(503), "sale")],
        drifts=drifts,
    )
    return Merchant(name, KEY.format(name), SECRET.format(name), tiny_merchant(seed, lines_a_day=3), Profile(), faults)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Searched]:
    home = tmp_path_factory.mktemp("canaries")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERCURIOS_HOME", str(home))
        (home / "logs").mkdir()
        with (home / "logs" / "mercurios.log").open("a") as file:
            logs._configure("info", logs._JSON, structlog.WriteLoggerFactory(file))
            yield played(home)
        structlog.reset_defaults()


def played(home: Path) -> Searched:
    """Two merchants on a bad day, by the flows that operators use."""
    from flows.ingest import ingest
    from flows.quality import quality

    found = Searched(home)
    made = [merchant(name, seed) for seed, name in enumerate(NAMES, start=1)]
    with running(made) as sandbox:
        write_tenant_files(made, home / "tenants", sandbox.auth_url)
        reports = ingest(list(NAMES), AS_OF)
        quality(list(NAMES), AS_OF)
        found.reprs.append(repr(reports))
        (home / "tenants" / "south.api_secret").write_text(f"wrong-{SECRET.format('south')}")
        found.errors.append(failing(ingest, ["south"]))
        found.reprs += opened(home)
    broken = [Fault(NotJson(), "label", times=None), Fault(NotJson(), "sale", page=3, times=None)]
    broken += [Fault(Cut(0.9), "customer", times=None)]
    bad = Merchant(
        "north", KEY.format("north"), SECRET.format("north"), tiny_merchant(1), Profile(), Faults(orders=broken)
    )
    with running([bad]) as sandbox:
        write_tenant_files([bad], home / "tenants", sandbox.auth_url)
        found.errors.append(failing(ingest, ["north"]))
    found.errors.append(failing(ingest, ["north"]))  # nobody answers any more
    with wiring.open_warehouse() as warehouse:
        found.reprs += [repr(warehouse), repr(replay(warehouse, "north", AS_OF)), repr(quarantined(warehouse, "north"))]
    return found


def failing(ingest: object, tenants: list[str]) -> BaseException:
    with pytest.raises(MercuriosError) as raised:
        ingest(tenants, AS_OF)  # type: ignore[operator]
    return raised.value


def opened(home: Path) -> list[str]:
    """How things that hold a secret or a record look when somebody prints them."""
    (home / "tenants" / "south.api_secret").write_text(SECRET.format("south"))
    tenant = wiring.tenants().get("south")
    with ProHandel(tenant) as source:
        page = next(source.read("customer"))
        converted = convert(CONTRACTS["customer"], page.records)
        held = [repr(one) for one in gc.get_referents(source.__dict__)]
        return [repr(tenant), repr(source), repr(page), repr(converted), repr(Settings()), *held]


def assert_clean(text: str, where: str) -> None:
    for canary in PLANTED:
        assert canary not in text, f"{canary} in {where}"


def test_the_canaries_were_there_to_be_found(searched: Searched) -> None:
    """Else the rest proves nothing: they travel in the records, and records were quarantined."""
    sent = str(tiny_merchant(1)["customer"].to_dicts())
    assert all(canary in sent for canary in CANARIES)
    with wiring.open_warehouse() as warehouse:
        entities = {row["entity"] for row in warehouse.table("ops.quarantine").to_pylist()}
        drift = {(row["entity"], row["field"]) for row in warehouse.table("ops.drift").to_pylist()}
    assert {*BREAKABLE, "staff"} <= entities
    assert {("customer", "nickname"), ("sale", "payload"), ("staff", "number")} <= drift


def test_no_file_holds_one(searched: Searched) -> None:
    secrets = set((searched.home / "tenants").glob("*.api_*"))
    files = [path for path in searched.home.rglob("*") if path.is_file() and path not in secrets]
    assert {"warehouse.duckdb", "mercurios.log", "north.yaml", "rows.arrows"} <= {path.name for path in files}
    for path in files:
        body = unpacked(path)
        for canary in PLANTED:
            assert canary.encode() not in body, f"{canary} in {path.name}"


def unpacked(path: Path) -> bytes:
    """A file's bytes; those of a spool as texts, for they are compressed. (Tables are read as tables, below.)"""
    if path.suffix != ".arrows":
        return path.read_bytes()
    rows = []
    with pa.OSFile(str(path)) as file:
        while file.tell() < file.size():
            with pa.ipc.open_stream(file) as stream:
                rows += stream.read_all().to_pylist()
    return str(rows).encode()


def test_no_table_holds_one(searched: Searched) -> None:
    with wiring.open_warehouse() as warehouse:
        tables = [*warehouse.tables("raw"), *warehouse.tables("ops")]
        assert len(tables) > 25
        for table in tables:
            assert_clean(str(warehouse.table(table).to_pylist()), table)


def test_no_error_tells_or_holds_one(searched: Searched) -> None:
    assert len(searched.errors) == 3
    for error in searched.errors:
        assert_clean("".join(traceback.format_exception(error)), repr(error)[:80])
        for each in chained(error):
            assert_clean(" ".join([repr(each.args), *held(each)]), f"{type(each).__name__} behind {error!r:.80}")


def chained(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it, what `from None` hides included."""
    if error is not None:
        yield error
        yield from chained(error.__cause__)
        yield from chained(error.__context__)


def held(value: object, levels: int = 3) -> Iterator[str]:
    """A value, and what its attributes hold: a document that is no JSON, a request with its body."""
    yield repr(value)
    for inner in vars(value).values() if levels and hasattr(value, "__dict__") else ():
        yield from held(inner, levels - 1)


def test_nothing_shows_one_when_printed(searched: Searched) -> None:
    for text in searched.reprs:
        assert_clean(text, text[:60])


def test_prefect_was_told_of_none(searched: Searched) -> None:
    told = asyncio.run(everything_prefect_knows())
    assert {"artifacts", "flow runs", "task runs", "logs", "events"} <= told.keys()
    assert "ingest-batches" in told["artifacts"]
    for what, text in told.items():
        assert_clean(text, what)


async def everything_prefect_knows() -> dict[str, str]:
    from prefect.client.orchestration import get_client

    paths = {"artifacts": "artifacts", "flow runs": "flow_runs", "task runs": "task_runs", "logs": "logs"}
    async with get_client() as client:
        answers = {
            what: await client._client.post(f"/{path}/filter", json={"limit": 200}) for what, path in paths.items()
        }
        answers["events"] = await client._client.post("/events/filter", json={"limit": 50})
        return {what: answer.text for what, answer in answers.items()}
