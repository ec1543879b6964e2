"""What every benchmark prints and keeps."""

import sys
from collections.abc import Mapping
from typing import Any

import orjson

from mercurios.config import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def say(told: str) -> None:
    """Write to standard output as it is now: tests put another in its place."""
    sys.stdout.write(told)


def keep(name: str, results: Mapping[str, Any]) -> None:
    """Write the figures of a whole run to benchmarks/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
