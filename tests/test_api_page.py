"""The page for a shop owner: what the server sends for it, the documents it asks with, and the charts of the schema."""

import re
from collections.abc import Iterator

import httpx
import pytest
from graphql import parse, validate

from mercurios.api.page import CHART_SCRIPT, POLICY, asset, names
from mercurios.api.resolvers import load_schema
from mercurios.config import ROOT
from tests.api_world import ApiWorld, listening, make_world

PAGE = ROOT / "mercurios" / "api" / "page"
OPERATIONS = sorted((PAGE / "operations").glob("*.graphql"))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    with listening(make_world(tmp_path_factory.mktemp("page"))) as world:
        yield world


def test_whoever_comes_gets_the_page_and_nothing_but_files_of_it(api: ApiWorld) -> None:
    with httpx.Client(base_url=api.url.removesuffix("/graphql"), timeout=60) as client:
        page = client.get("/")
        assert page.headers["Content-Security-Policy"] == POLICY
        assert page.headers["Content-Type"].startswith("text/html")
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            found = client.get(path)
            assert found.status_code == 200, path
            again = client.get(path, headers={"If-None-Match": found.headers["Etag"]})
            assert (again.status_code, again.content) == (304, b"")
        for path in ("/assets/__init__.py", "/assets/../resolvers.py", "/assets/%2e%2e/tokens.py", "/assets/none.js"):
            assert client.get(path).status_code == 404, path
        assert client.post("/").status_code == 405


def test_the_page_asks_this_server_alone() -> None:
    """Nothing in what is sent names another host, but for the names of XML and schemas, which nobody fetches."""
    for name in names():
        found = asset(name)
        assert found is not None
        if name != CHART_SCRIPT:
            hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z]+)", found.body.decode()))
            assert hosts <= {"www.w3.org"}, name


def test_the_script_that_draws_needs_no_eval_and_no_style() -> None:
    script = asset(CHART_SCRIPT)
    assert script is not None
    assert b"window.draw=" in script.body
    assert b"ast:true" in script.body


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_every_document_of_the_page_fits_the_schema(path: object) -> None:
    assert validate(load_schema(), parse(path.read_text())) == []  # type: ignore[attr-defined]


def test_both_languages_say_the_same_things() -> None:
    english, german = (PAGE / "words.js").read_text().split("  de: {")
    name = re.compile(r"(?:^|[{,] )\s*([a-zA-Z_0-9]+): (?=[\"(\[])", re.MULTILINE)
    said = [sorted(name.findall(text)) for text in (english, german)]
    assert said[0] == said[1]
    used = set(re.findall(r"words\(\)\.([a-zA-Z_0-9]+)", (PAGE / "page.js").read_text()))
    used |= set(re.findall(r'data-text="([^"]+)"', (PAGE / "index.html").read_text()))
    assert used <= set(said[0])


def test_charts_hold_the_rows_of_the_asker(api: ApiWorld) -> None:
    document = """{
        day: metrics(names: ["revenue"], grain: DAY) { rows chart(locale: "de") }
        one: metrics(names: ["revenue"]) { chart }
        forecast(level: CATEGORY, key: "northern bakery") { chart(locale: "en") } }"""
    found = api.ask(document)
    chart = found["day"]["chart"]
    [rows] = chart["datasets"].values()
    assert [(row["metric_time"][:10], row["revenue"]) for row in rows] == [tuple(row) for row in found["day"]["rows"]]
    assert chart["width"] == "container"
    assert chart["config"]["locale"]["number"]["decimal"] == ","
    assert found["one"]["chart"] is None, "one number is no chart"
    assert found["forecast"]["chart"]["config"]["locale"]["number"]["decimal"] == "."
    assert "southern" not in str(found)
