"""What a semantic manifest defines: metrics with their texts and dimensions, dimensions with their kind.

Branch, category, department and product type are declared as foreign entities of every semantic model, so that one
query may ask for sales and stock side by side; a metric has those that all models it draws on share.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mercurios.metrics.query import Metric

Manifest = Mapping[str, Any]


def metrics(manifest: Manifest) -> Iterator[Metric]:
    """Every metric that is not marked internal, in the order of its definition."""
    defined = {metric["name"]: metric for metric in manifest["metrics"]}
    models = dict(_dimensions_by_measure(manifest))
    for metric in manifest["metrics"]:
        meta = _meta(metric)
        if meta.get("internal"):
            continue
        yield Metric(
            name=metric["name"],
            label={"en": metric["label"], "de": meta["label_de"]},
            unit=meta["unit"],
            description={"en": metric["description"].strip(), "de": meta["description_de"].strip()},
            dimensions=_shared(metric, defined, models),
            synonyms={"en": tuple(meta.get("synonyms", ())), "de": tuple(meta.get("synonyms_de", ()))},
            caution={"en": meta.get("caution", ""), "de": meta.get("caution_de", "")},
        )


def dimension_kinds(manifest: Manifest) -> Mapping[str, str]:
    """Kind of each dimension, `number` or `text`."""
    kinds: dict[str, str] = {}
    for model in manifest["semantic_models"]:
        for entity in _dimensions(model):
            kinds[entity["name"]] = _meta(entity).get("kind", kinds.get(entity["name"], "text"))
    return kinds


def _dimensions(model: Manifest) -> list[Manifest]:
    return [entity for entity in model["entities"] if entity["type"] == "foreign"]


def _dimensions_by_measure(manifest: Manifest) -> Iterator[tuple[str, tuple[str, ...]]]:
    for model in manifest["semantic_models"]:
        names = tuple(entity["name"] for entity in _dimensions(model))
        for measure in model["measures"]:
            yield measure["name"], names


def _shared(
    metric: Manifest, defined: Mapping[str, Manifest], models: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Dimensions of a metric: those of all measures below it, in the order of the first."""
    params = metric["type_params"]
    below = [params[part]["name"] for part in ("numerator", "denominator") if params.get(part)]
    below += [one["name"] for one in params.get("metrics") or ()]
    if not below:
        return models[params["measure"]["name"]]
    first, *others = (_shared(defined[name], defined, models) for name in below)
    return tuple(name for name in first if all(name in other for other in others))


def _meta(node: Manifest) -> Manifest:
    return ((node.get("config") or {}).get("meta")) or {}
