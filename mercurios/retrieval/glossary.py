"""The KPI glossary: what the trade's terms mean, and which metric answers them.

    load_glossary()["rabattquote"].metric        # 'discount_rate'

Terms that nothing computes yet are in it too, so that a question about them is refused by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import yaml


@dataclass(frozen=True)
class Term:
    """A KPI of the trade. `names` and `definition` are by locale; the first name is the one to show.

    metric: the metric that answers it, None while none does.
    """

    key: str
    metric: str | None
    names: Mapping[str, tuple[str, ...]]
    definition: Mapping[str, str]

    @property
    def available(self) -> bool:
        """Whether a question about it can be answered."""
        return self.metric is not None


@lru_cache(maxsize=1)
def load_glossary() -> Mapping[str, Term]:
    """The glossary that comes with Mercurios, by key."""
    raw = yaml.safe_load(Path(__file__).with_name("glossary.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({key: _term(key, fields) for key, fields in raw.items()})


def _term(key: str, fields: dict[str, object]) -> Term:
    names, definition, metric = fields["names"], fields["definition"], fields.get("metric")
    assert isinstance(names, dict)
    assert isinstance(definition, dict)
    if bool(metric) != fields["available"]:
        raise ValueError(f"glossary.yaml, {key}: a term is available exactly when it names a metric")
    return Term(key, str(metric) if metric else None, {at: tuple(found) for at, found in names.items()}, definition)
