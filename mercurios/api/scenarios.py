"""What if a category is promoted? Read from a serving session.

    promotion(session, Wanted("COFFEE", date(2018, 1, 8), discount=0.2))["difference"].mean

It is reckoned while somebody waits, which takes a second or two.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from graphql import GraphQLResolveInfo

from mercurios.api.asker import Resolvers, language
from mercurios.jobs.promotion_scenario import Wanted, promotion_scenario
from mercurios.serving import Session

CAUTION = {
    "de": "Beobachtet, nicht erprobt: Aktionen wurden nicht ausgelost. Was der Händler in solchen Wochen sonst noch "
    "tat, steckt in der Wirkung; was andere Warengruppen oder spätere Wochen dadurch verlieren, fehlt darin.",
    "en": "Observed, not tried: promotions were not drawn by lot. Whatever else the merchant did in such weeks is part "
    "of the effect; what other categories or later weeks lose by it is not.",
}


def promotion(session: Session, wanted: Wanted) -> Mapping[str, Any]:
    """What a promotion changes, as the schema names it; raises as `promotion_scenario`."""
    told = promotion_scenario(session, wanted)
    return {
        "category": told.category,
        "week": told.week,
        "model": told.model,
        "cutoff": told.cutoff,
        "currency": session.query("select currency from marts.dim_tenants")["currency"][0].as_py(),
        "forecast": told.forecast,
        "withPromotion": told.forecast + told.difference.mean,
        "difference": told.difference,
        "effect": told.effect,
        "usualDiscount": told.usual_discount,
        "plannedShare": told.planned_share,
        "isBeyondHistory": told.is_beyond_history,
        "categoryWeeks": told.category_weeks,
    }


def _promotion_scenario(  # noqa: PLR0913 - the arguments of the field
    _: object,
    info: GraphQLResolveInfo,
    *,
    category: str,
    week: date,
    discount: float,
    kind: str | None = None,
    share: float | None = None,
) -> Mapping[str, Any]:
    wanted = Wanted(category, week, discount, kind, share=1.0 if share is None else share)
    return promotion(info.context.session, wanted)


def _caution(_: object, __: GraphQLResolveInfo, locale: str | None = None) -> str:
    return CAUTION[language(locale) or "en"]


RESOLVERS: Resolvers = {"Query.promotionScenario": _promotion_scenario, "PromotionScenario.caution": _caution}
