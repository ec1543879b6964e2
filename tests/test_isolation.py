"""No merchant sees another's numbers: a thousand generated attempts, ten thousand in `make soak`; no guard is idle.

The guards are listed in tests/guards.py, the surfaces in tests/isolation.py.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from mercurios.config import ROOT
from mercurios.errors import MercuriosError
from mercurios.metrics import SemanticLayer
from mercurios.retrieval import Embedder, open_query_embedder
from mercurios.transformation import run_dbt, semantic_manifest, target_for
from tests.guards import GUARDS, switched_off
from tests.isolation import SURFACES, Isolated, cases, isolated

ENOUGH = 200
"""Attempts after which a guard that is switched off must have been noticed."""


@pytest.fixture(scope="module")
def semantics(tmp_path_factory: pytest.TempPathFactory) -> SemanticLayer:
    """The real metric definitions."""
    state = tmp_path_factory.mktemp("dbt")
    run_dbt(ROOT / "dbt", target_for(f"duckdb:///{state}/none.duckdb"), state, command=("parse",))
    return SemanticLayer.parse(semantic_manifest(state))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_query_embedder("use-multilingual")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, semantics: SemanticLayer, embedder: Embedder) -> Iterator[Isolated]:
    with isolated(tmp_path_factory.mktemp("isolated"), semantics, embedder) as made:
        yield made


@pytest.mark.parametrize("surface", SURFACES)
def test_no_attempt_shows_anything_of_the_other(world: Isolated, surface: str, pytestconfig: pytest.Config) -> None:
    found = Counter[str]()
    for case in cases(pytestconfig.getoption("--attempts") // len(SURFACES), [surface]):
        found.update(world.attempt(case))
    assert not found


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_that_is_switched_off_is_noticed(world: Isolated, name: str) -> None:
    with switched_off(GUARDS[name]):
        found = noticed(world, GUARDS[name].surface)
    world.renew()
    assert found, f"nobody would notice that {name!r} is gone"
    assert not noticed(world, GUARDS[name].surface, attempts=10), "it is on again"


def noticed(world: Isolated, surface: str, attempts: int = ENOUGH) -> list[str]:
    """What the first attempt brought to light that brought anything; or that nothing could be opened any more."""
    try:
        world.renew()
    except MercuriosError as error:
        return [f"{type(error).__name__}: {error}"]
    return next((found for case in cases(attempts, [surface]) if (found := world.attempt(case))), [])
