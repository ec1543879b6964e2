"""What a semantic manifest defines: metrics with their texts, dimensions and sense of time, dimensions with their kind.

Ways to slice are declared as foreign entities of the semantic models, so that one query may ask for sales and stock
side by side; a metric has those that all models it draws on share.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mercurios.metrics.query import GRAINS, Grain, Metric, Time

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class _Measure:
    """What the semantic model of a measure says of it."""

    dimensions: tuple[str, ...]
    time: Time
    grains: tuple[Grain, ...]


def metrics(manifest: Manifest) -> Iterator[Metric]:
    """Every metric that is not marked internal, by name: dbt hands files over in no order."""
    defined = {metric["name"]: metric for metric in manifest["metrics"]}
    known = dict(_measures(manifest))
    for _, metric in sorted(defined.items()):
        meta = _meta(metric)
        if meta.get("internal"):
            continue
        below = [known[name] for name in _below(metric, defined)]
        yield Metric(
            name=metric["name"],
            label={"en": metric["label"], "de": meta["label_de"]},
            unit=meta["unit"],
            description={"en": metric["description"].strip(), "de": meta["description_de"].strip()},
            dimensions=_shared([one.dimensions for one in below]),
            grains=tuple(meta.get("grains") or _shared([one.grains for one in below])),
            synonyms={"en": tuple(meta.get("synonyms", ())), "de": tuple(meta.get("synonyms_de", ()))},
            caution={"en": meta.get("caution", ""), "de": meta.get("caution_de", "")},
            formula={"en": meta.get("formula", ""), "de": meta.get("formula_de", "")},
            time=_time(metric, defined, {one.time for one in below}),
            needs=_needs(metric, defined),
        )


def dimension_kinds(manifest: Manifest) -> Mapping[str, str]:
    """Kind of each dimension, `number` or `text`."""
    kinds: dict[str, str] = {}
    for model in manifest["semantic_models"]:
        for entity in _dimensions(model):
            kinds[entity["name"]] = _meta(entity).get("kind", kinds.get(entity["name"], "text"))
    return kinds


def dimension_texts(manifest: Manifest) -> Mapping[str, tuple[str, str, str]]:
    """Label in English and German and meaning of each dimension, by name."""
    found = {
        entity["name"]: (meta["label"], meta["label_de"], " ".join(entity["description"].split()))
        for model in manifest["semantic_models"]
        for entity in _dimensions(model)
        if "label" in (meta := _meta(entity))  # an entity that is only shared has none, but inherits its model's meta
    }
    return dict(sorted(found.items()))


def _dimensions(model: Manifest) -> list[Manifest]:
    return [entity for entity in model["entities"] if entity["type"] == "foreign"]


def _measures(manifest: Manifest) -> Iterator[tuple[str, _Measure]]:
    for model in manifest["semantic_models"]:
        meta = _meta(model)
        names = tuple(entity["name"] for entity in _dimensions(model))
        grains = () if meta.get("time") == "as_of" else tuple(meta.get("grains", GRAINS))
        for measure in model["measures"]:
            usual: Time = "level" if measure.get("non_additive_dimension") else "flow"
            yield measure["name"], _Measure(names, meta.get("time", usual), grains)


def _below(metric: Manifest, defined: Mapping[str, Manifest]) -> Iterator[str]:
    """Names of all measures a metric draws on, in the order of its definition."""
    inputs = [defined[one["name"]] for one in _inputs(metric)]
    if not inputs:
        yield metric["type_params"]["measure"]["name"]
    for one in inputs:
        yield from _below(one, defined)


def _inputs(metric: Manifest) -> list[Manifest]:
    params = metric["type_params"]
    parts = [params[part] for part in ("numerator", "denominator") if params.get(part)]
    return [*parts, *(params.get("metrics") or ())]


def _time(metric: Manifest, defined: Mapping[str, Manifest], below: set[Time]) -> Time:
    if _any(metric, defined, lambda one: any(part.get("offset_window") for part in _inputs(one))):
        return "comparison"
    if _any(metric, defined, lambda one: one["type"] == "cumulative"):
        return "running"
    return "balance" if below == {"flow", "level"} else min(below)


def _needs(metric: Manifest, defined: Mapping[str, Manifest]) -> str:
    """The role it asks for, or one of the metrics it draws on does: those that tell purchase prices say `analyst`."""
    return "analyst" if _any(metric, defined, lambda one: _meta(one).get("needs") == "analyst") else "viewer"


def _any(metric: Manifest, defined: Mapping[str, Manifest], is_so: Callable[[Manifest], bool]) -> bool:
    return is_so(metric) or any(_any(defined[one["name"]], defined, is_so) for one in _inputs(metric))


def _shared(names: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """What all of them have, in the order of the first."""
    first, *others = names
    return tuple(name for name in first if all(name in other for other in others))


def _meta(node: Manifest) -> Manifest:
    return ((node.get("config") or {}).get("meta")) or {}
