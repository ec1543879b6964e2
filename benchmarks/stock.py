"""What stock policies cost in money on real demand, at equal fill rate: ours, textbook safety stock, newsvendor.

    python -m benchmarks.stock

The 1,000 largest products (units of weeks 1 to 26, no fuel) of the Complete Journey are traded week by week through
weeks 27 to 52; what is real and what is derived is told by benchmarks/stock_shop.py. Every policy meets the same demand
and the same lead times, and knows only what lies before a review; the plan of mailers and displays, which is made
before its week, is known to the forecast. Demand that the simulation lost is known to every policy alike. Each policy's
service parameter is swept, and costs are interpolated at the same fill rate. Window and variant of the others are those
that cost least at that fill rate in weeks 14 to 26.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.stock_forecast import Floats, Forecaster, boosting, moving_mean
from benchmarks.stock_shop import START, Shop, open_shop
from benchmarks.telling import keep, say
from mercurios.replenishment import CLASSES, Costs, Plan, Service, StockSettings, simulate
from mercurios.replenishment.lead_times import draw_lead_times
from mercurios.replenishment.levels import carrying, stock_levels
from mercurios.replenishment.protection import Protection, protection_demand
from mercurios.replenishment.textbook import Supply, newsvendor_levels, safety_stock_levels

TUNED_FROM = 13  # weeks
FILL_RATES = (0.95, 0.97, 0.98)
PARTS = ("holding", "lost_margin", "markdown", "ordering")
GOODWILL = (-0.6, -0.4, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 15.0, 40.0, 200.0)
SERVICES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995, 0.998)
Z = tuple(np.arange(0.0, 7.0, 0.25))
SCALES = tuple(10.0 ** np.arange(-1.5, 13.0, 0.75))
WINDOWS = (4, 8, 13)


Policy = Callable[[Floats], Floats]
SETTINGS = StockSettings(samples=500)


@dataclass(frozen=True)
class Curve:
    """What a policy costs at the fill rates that its service parameter reaches."""

    costs: tuple[Costs, ...]

    def at(self, fill_rate: float, part: str = "total") -> float | None:
        """Money at a fill rate, between the two settings next to it; None where no setting reaches it."""
        ranked = sorted(self.costs, key=lambda one: one.fill_rate)
        fills = [one.fill_rate for one in ranked]
        if not fills[0] <= fill_rate <= fills[-1]:
            return None
        return float(np.interp(fill_rate, fills, [getattr(one, part) for one in ranked]))


def rolled(shop: Shop, forecaster: Forecaster) -> list[Protection]:
    """Demand over the protection interval as it was foreseen at each review from week START on."""
    leads, _ = draw_lead_times(shop.items, shop.receipts, SETTINGS)
    horizon = int(leads.max()) + SETTINGS.review_periods
    weeks = shop.panel.calendar.height
    known = [shop.panel.before(weeks - week) for week in range(START, weeks)]
    return [protection_demand(forecaster(panel, horizon), leads, SETTINGS) for panel in known]


def ours(shop: Shop, foreseen: Sequence[Protection], settings: StockSettings) -> Costs:
    """Our policy through all weeks from START on."""
    levels = [stock_levels(shop.items, demand, settings) for demand in foreseen]
    plan = Plan(np.array([one.reorder_point for one in levels]), np.array([one.order_up_to for one in levels]))
    return simulate(shop.world(START, START + len(foreseen)), plan)


def one_service(share: float) -> StockSettings:
    """The same service level for every item."""
    return SETTINGS.model_copy(update={"service": {name: Service(least=share, most=share) for name in CLASSES}})


def trade(shop: Shop, policy: Policy, first: int, last: int) -> Costs:
    """A base-stock policy, which tells levels from past demand, through some weeks."""
    levels = np.array([policy(shop.units[:, :week]) for week in range(first, last)])
    return simulate(shop.world(first, last), Plan(levels, levels))


def others(shop: Shop) -> Mapping[str, Mapping[str, Sequence[Policy]]]:
    """The policies to be beaten: by name, then by variant, one for each value of the service parameter."""
    supply, items = shop.supply, shop.items
    kept, margin = carrying(items, SETTINGS), (items["price"] - items["unit_cost"]).to_numpy()
    textbook = {
        f"{window} weeks{', varying lead time' if varying else ''}": [_textbook(supply, z, window, varying) for z in Z]
        for window in WINDOWS
        for varying in (False, True)
    }
    newsvendor = {
        f"{window} weeks": [_newsvendor(supply, k * margin / (k * margin + kept), window) for k in SCALES]
        for window in WINDOWS
    }
    return {"textbook": textbook, "newsvendor": newsvendor}


def _textbook(supply: Supply, z: float, window: int, varying: bool) -> Policy:
    return lambda past: safety_stock_levels(past, supply, z, window=window, varying=varying)


def _newsvendor(supply: Supply, ratio: Floats, window: int) -> Policy:
    return lambda past: newsvendor_levels(past, supply, ratio, window=window)


def compare(forecaster: Forecaster | None = None) -> Mapping[str, Any]:
    """Figures of one run: cost_ratio (ours / the better of both others, at the fill rate ours reaches by default).

    forecaster: makes unique_id, ds, mean, lo80, hi80, lo95, hi95 in units from a weekly panel and a horizon, by default
    boosting that knows the plan of promotions; called once per week that is traded.
    """
    shop = open_shop()
    return _figures(shop, rolled(shop, forecaster or boosting(shop.promotions)))


def _figures(shop: Shop, foreseen: Sequence[Protection]) -> Mapping[str, Any]:
    curve, default = _ours_swept(shop, foreseen), ours(shop, foreseen, SETTINGS)
    rates = {"default": default.fill_rate, **{f"{rate:.0%}": rate for rate in FILL_RATES}}
    competition = _swept(shop)
    at = {name: {"fill_rate": rate, **_compared(curve, competition, rate)} for name, rate in rates.items()}
    return {"cost_ratio": at["default"]["cost_ratio"], "at": at}


def attribution(shop: Shop, foreseen: Sequence[Protection]) -> Mapping[str, Mapping[str, float | None]]:
    """Cost of ours by fill rate with parts of it taken away, to tell which part gains what.

    foreseen: from a forecast that knows the plan of promotions. Service is by margin, as ours is, or equal for all.
    """
    without = {
        "no plan of displays": boosting(shop.promotions.drop("display")),
        "no plan": boosting(),
        "moving mean": moving_mean(),
    }
    found: dict[str, Mapping[str, float | None]] = {}
    for name, demand in {"all": foreseen, **{name: rolled(shop, one) for name, one in without.items()}}.items():
        equal = Curve(tuple(ours(shop, demand, one_service(share)) for share in SERVICES))
        for service, curve in (("by margin", _ours_swept(shop, demand)), ("equal", equal)):
            found[f"{name}, service {service}"] = {f"{rate:.0%}": curve.at(rate) for rate in FILL_RATES}
    return found


def _ours_swept(shop: Shop, foreseen: Sequence[Protection]) -> Curve:
    swept = [SETTINGS.model_copy(update={"goodwill": money}) for money in GOODWILL]
    return Curve(tuple(ours(shop, foreseen, settings) for settings in swept))


def _swept(shop: Shop) -> Mapping[str, Mapping[str, tuple[Curve, Curve]]]:
    """By policy and variant: its curve in the weeks before, and in those that count."""
    weeks = shop.panel.calendar.height
    return {
        name: {
            variant: (
                Curve(tuple(trade(shop, policy, TUNED_FROM, START) for policy in policies)),
                Curve(tuple(trade(shop, policy, START, weeks) for policy in policies)),
            )
            for variant, policies in variants.items()
        }
        for name, variants in others(shop).items()
    }


def _compared(
    curve: Curve, competition: Mapping[str, Mapping[str, tuple[Curve, Curve]]], rate: float
) -> Mapping[str, Any]:
    told: dict[str, Any] = {"ours": _told(curve, rate)}
    for name, variants in competition.items():
        variant = min(variants, key=lambda one: _tuned(*variants[one], rate))
        told[name] = {"variant": variant, **_told(variants[variant][1], rate)}
    reached = [told[name]["total"] for name in competition if told[name]["total"] is not None]
    ratio = told["ours"]["total"] / min(reached) if reached and told["ours"]["total"] is not None else None
    return {**told, "cost_ratio": ratio}


def _tuned(before: Curve, traded: Curve, rate: float) -> tuple[float, float]:
    """How variants rank: by cost in the weeks before; where none reached the rate then, by cost in those that count."""
    return before.at(rate) or np.inf, traded.at(rate) or np.inf


def _told(curve: Curve, rate: float) -> Mapping[str, float | None]:
    return {part: curve.at(rate, part) for part in ("total", *PARTS)}


def _row(name: str, figures: Mapping[str, Any]) -> str:
    return f"  {name:12}" + "".join(f"{_figure(figures[part], ',.0f'):>13}" for part in ("total", *PARTS))


def _figure(figure: float | None, form: str) -> str:
    return "not reached" if figure is None else format(figure, form)


def main() -> None:
    """Print the comparison and what each part gains, and keep both."""
    shop = open_shop()
    foreseen = rolled(shop, boosting(shop.promotions))
    results = _figures(shop, foreseen)
    for name, at in results["at"].items():
        say(f"\nfill rate {at['fill_rate']:.3f} ({name}): cost ratio {_figure(at['cost_ratio'], '.3f')}\n")
        say(f"  {'':12}" + "".join(f"{part:>13}" for part in ("total", *PARTS)) + "\n")
        for policy in ("ours", "textbook", "newsvendor"):
            say(_row(policy, at[policy]) + f"  {at[policy].get('variant', '')}\n")
    parts = attribution(shop, foreseen)
    for name, costs in parts.items():
        told = "".join(f"{rate:>7} {_figure(cost, ',.0f')}" for rate, cost in costs.items())
        say(f"{name:40}{told}\n")
    keep("stock", {**results, "attribution": parts})


if __name__ == "__main__":
    main()
