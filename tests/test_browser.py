"""The dashboard in a real browser, on desktop and phone: what a shop owner sees, hears and can reach by keyboard.

`--home DIR` looks at another home than the one the tests make, e.g. that of `mercurios demo`. What was seen is written
to var/screenshots.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from mercurios import wiring
from mercurios.config import ROOT, Settings
from tests.ports import free_ports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEVICES = {"desktop": (1280, 900), "phone": (390, 844)}
TENANTS = ("north", "south")
SCREENSHOTS = ROOT / "var" / "screenshots"
QUESTION = "Welche drei Warengruppen hatten den meisten Umsatz?"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; on Debian: apt-get install chromium")


@dataclass
class Visit:
    """One page that somebody opened, and what the browser said and asked for meanwhile."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(re.sub(r"^(\w+:(//)?[^/:]*).*", r"\1", request.url)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest) -> Path:
    """A home in which the whole path ran for both merchants."""
    given = request.config.getoption("--home")
    if given:
        return Path(given)
    found: Path = request.getfixturevalue("world").home
    return found


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[str]:
    """`mercurios serve` as a process of its own; yields where the dashboard is."""
    port = free_ports(1)
    command = (sys.executable, "-m", "mercurios", "serve", "--port", str(port))
    child = subprocess.Popen(
        command,
        env=os.environ | {"MERCURIOS_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                httpx.get(f"{url}/healthz", timeout=5).raise_for_status()
                break
            except httpx.TransportError:
                assert child.poll() is None, "the API ended"
                time.sleep(0.5)
        yield url
    finally:
        child.terminate()
        assert child.wait(20) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield chromium
        chromium.close()


def token(home: Path, tenant: str, role: str = "buyer") -> str:
    return wiring.issue_token(tenant, role, 1, Settings(home=home))


def opened(browser: Browser, device: str) -> BrowserContext:
    width, height = DEVICES[device]
    phone: dict[str, Any] = (
        {"is_mobile": True, "has_touch": True, "device_scale_factor": 2} if device == "phone" else {}
    )
    return browser.new_context(viewport={"width": width, "height": height}, locale="de-DE", **phone)


def wait_for_board(page: Page) -> None:
    for place in ("trend", "forecast", "branches", "categories", "risks", "state", "orders"):
        expect(page.locator(f"#{place}")).not_to_have_attribute("aria-busy", "true", timeout=60_000)
        expect(page.locator(f"#{place} .error")).to_have_count(0)
    expect(page.locator("#figures div")).to_have_count(6, timeout=30_000)


def digits(text: str | None) -> str:
    return re.sub(r"\D", "", text or "")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tenant", TENANTS)
def test_a_shop_owner_sees_the_shop_and_asks(browser: Browser, site: str, home: Path, tenant: str, device: str) -> None:
    credential = token(home, tenant)
    with opened(browser, device) as context:
        visit = Visit(context.new_page())
        page = visit.page
        page.goto(f"{site}/#token={credential}")
        page.select_option("#language", "de")
        wait_for_board(page)
        expect(page.locator("#forecast svg")).to_be_visible()
        assert credential not in page.url
        page.fill("#question", QUESTION)
        page.keyboard.press("Enter")
        expect(page.locator("#answer .said")).to_be_visible(timeout=30_000)
        expect(page.locator("#answer svg")).to_be_visible()
        page.locator("#answer details").last.locator("summary").click()

        page.get_by_role("button", name="Ja", exact=True).click()
        expect(page.locator("#answer [role=status]")).to_have_text("Danke, ist notiert.")

        asked = _asked(site, credential)
        assert page.locator("#shop").inner_text() == asked["tenant"]["name"]
        assert page.locator("#answer .said").inner_text() == asked["ask"]["text"]
        how = page.locator("#answer details").last.inner_text()
        assert asked["ask"]["release"] in how
        assert '"revenue"' in how
        assert "select" in how.lower(), "the SQL is told as well"
        rows = page.locator("#answer tbody tr")
        page.locator("#answer details").first.locator("summary").click()
        assert rows.count() == len(asked["ask"]["rows"])
        for place, (name, _) in enumerate(asked["ask"]["rows"]):
            assert str(name) in rows.nth(place).inner_text()
        for line in page.locator("#orders tbody tr").all():
            assert line.locator("td").nth(3).inner_text().strip() not in ("", "–", "0")

        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, "nothing makes the page wider than the screen"
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{tenant}-{device}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["help"]) for one in found if one["impact"] in ("serious", "critical")]
        assert not serious
        assert visit.complaints == []
        assert visit.hosts <= {"http://127.0.0.1", "data:", "blob:"}


def _asked(site: str, credential: str) -> dict[str, Any]:
    document = 'query ($q: String!) { tenant { name } ask(question: $q, locale: "de") { text rows release } }'
    reply = httpx.post(
        f"{site}/graphql",
        json={"query": document, "variables": {"q": QUESTION}},
        headers={"Authorization": f"Bearer {credential}"},
        timeout=60,
    )
    found: dict[str, Any] = reply.json()["data"]
    return found


def test_language_changes_every_word(browser: Browser, site: str, home: Path) -> None:
    with opened(browser, "desktop") as context:
        page = context.new_page()
        page.goto(f"{site}/#token={token(home, 'north')}")
        page.select_option("#language", "de")
        wait_for_board(page)
        german = {one: page.locator(one).inner_text() for one in ("#orders-title", "#figures dt >> nth=0", "#compared")}
        page.select_option("#language", "en")
        wait_for_board(page)
        for place, text in german.items():
            assert page.locator(place).inner_text() != text, place
        assert page.locator("html").get_attribute("lang") == "en"


def test_all_is_reached_by_keyboard(browser: Browser, site: str, home: Path) -> None:
    """Tab leads over every control, and what has the focus can be seen."""
    with opened(browser, "desktop") as context:
        page = context.new_page()
        page.goto(f"{site}/#token={token(home, 'north')}")
        wait_for_board(page)
        met, unseen = set(), set()
        for _ in range(80):
            page.keyboard.press("Tab")
            where, mark = page.evaluate(
                "() => { const one = document.activeElement, look = getComputedStyle(one);"
                " return [one.id || one.className || one.tagName, look.outlineStyle + look.boxShadow]; }"
            )
            met.add(where)
            if mark == "nonenone":
                unseen.add(where)
        assert {"skip", "period", "language", "leave", "question"} <= met
        assert unseen <= {"BODY", "main"}


def test_print_leaves_controls_out(browser: Browser, site: str, home: Path) -> None:
    with opened(browser, "desktop") as context:
        page = context.new_page()
        page.goto(f"{site}/#token={token(home, 'north')}")
        wait_for_board(page)
        page.emulate_media(media="print")
        expect(page.locator("#controls")).to_be_hidden()
        expect(page.locator("#figures")).to_be_visible()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert page.pdf(path=SCREENSHOTS / "north-print.pdf", format="A4").startswith(b"%PDF")


def test_a_viewer_is_told_what_is_not_for_viewers(browser: Browser, site: str, home: Path) -> None:
    with opened(browser, "desktop") as context:
        page = context.new_page()
        page.goto(f"{site}/#token={token(home, 'north', 'viewer')}")
        expect(page.locator("#orders .note")).to_be_visible(timeout=60_000)
        expect(page.locator("#orders table")).to_have_count(0)
        expect(page.locator("#figures div")).to_have_count(4)


def test_a_wrong_token_is_said_and_not_kept(browser: Browser, site: str) -> None:
    with opened(browser, "phone") as context:
        page = context.new_page()
        page.goto(site)
        page.fill("#token", "eyJ.wrong.token")
        page.keyboard.press("Enter")
        expect(page.locator("#enter-error")).not_to_be_empty()
        assert page.evaluate("sessionStorage.length") == 0
        page.reload()
        expect(page.locator("#enter")).to_be_visible()
