"""The dashboard and the alert rules ask for what the API really exports."""

import json
import re
from pathlib import Path

import structlog
import yaml
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from mercurios.answers import Answer
from mercurios.api.telemetry import Telemetry
from mercurios.config import ROOT
from mercurios.serving import Session
from tests.api_world import listening, make_world, toy_ask

FOLDER = ROOT / "docs" / "observability"
NAME = re.compile(r"mercurios_\w+")
LABELS = re.compile(r"(mercurios_\w+)\{(\w+)")
OUTCOMES = {"ok", "error", "fault", "refused", "forbidden", "limited", "malformed", "busy"}


class NoSessions:
    size_bytes = 0

    def __len__(self) -> int:
        return 0


def exported() -> str:
    telemetry = Telemetry(NoSessions())
    telemetry.count("metrics", "ok", seconds=0.1)
    telemetry.count_cache("hit")
    telemetry.count_document("hit")
    telemetry.count_cost(1)
    return telemetry.render().decode()


def test_every_metric_that_is_drawn_or_watched_is_exported() -> None:
    there = set(NAME.findall("\n".join(line for line in exported().splitlines() if not line.startswith("#"))))
    board = json.loads((FOLDER / "grafana.json").read_text())
    drawn = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = [
        rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
    ]
    watched = [rule["expr"] for rule in rules]
    assert len(drawn) > 8
    assert len(watched) > 5
    for asked in drawn + watched:
        assert set(NAME.findall(asked)) <= there, asked
        assert asked.count("(") == asked.count(")"), asked
    assert all({"summary", "description"} <= rule["annotations"].keys() for rule in rules)


def test_labels_that_are_selected_are_there() -> None:
    told = exported()
    texts = "".join((FOLDER / name).read_text().replace("\\", "") for name in ("grafana.json", "alerts.yaml"))
    for metric, label in set(LABELS.findall(texts)):
        assert re.search(rf'^{metric}\{{[^}}]*{label}="', told, re.MULTILINE), (metric, label)
    for outcomes in re.findall(r'outcome=~?"([^"]+)"', texts):
        assert set(outcomes.split("|")) <= OUTCOMES


def test_what_is_logged_while_a_request_is_answered_names_it(tmp_path: Path) -> None:
    def ask(session: Session, question: str, locale: str | None) -> Answer:
        structlog.get_logger().info("thinking")
        return toy_ask(session, question, locale)

    with listening(make_world(tmp_path, ask=ask)) as world, capture_logs(processors=[merge_contextvars]) as logs:
        for name in ("first-request", "second-request"):
            answer = world.post(
                {"query": f'{{ ask(question: "revenue {name}") {{ text }} }}'}, **{"X-Request-Id": name}
            )
            assert answer.headers["X-Request-Id"] == name
    lines = [line["request_id"] for line in logs if line["event"] == "thinking"]
    assert lines == ["first-request", "second-request"]
