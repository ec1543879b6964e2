"""What forecasts may know beside sales: promotions, planned ahead, and external factors, each known from a day on.

    plan = category_plan(session)      # unique_id, ds, display, mailer; None where nobody plans anything
    external_factors(session)          # ds, name, value, known_on; None where nobody tells any

Of the plan, one column a kind: the share of the category that takes part. Where discounts are told, a second one with
the share times the discount, which is how much the category's prices come down by it.
"""

import polars as pl

from mercurios.serving import Session

_PROMOTIONS = "select category as unique_id, week_start as ds, kind, share, discount from marts.mart_promotion_weeks"
_FACTORS = "select day as ds, factor as name, value, known_on from marts.mart_external_factors order by all"
_KEY = ["unique_id", "ds"]


def category_plan(session: Session) -> pl.DataFrame | None:
    """Promotions of the release by category and week, past and to come, as `Panel.plan` wants them."""
    shares = promoted_shares(session)
    if shares is None:
        return None
    told = pl.DataFrame(session.query(_PROMOTIONS)).drop_nulls("discount")
    cuts = _wide(told.with_columns(share=pl.col("share") * pl.col("discount")))
    cuts = cuts.rename({kind: f"{kind} (discount)" for kind in cuts.columns if kind not in _KEY})
    return shares.join(cuts, on=_KEY, how="left").fill_null(0.0)


def promoted_shares(session: Session) -> pl.DataFrame | None:
    """The same without discounts: unique_id, ds, a column a kind."""
    if not session.holds("mart_promotion_weeks"):  # a release from before there were any
        return None
    found = pl.DataFrame(session.query(_PROMOTIONS))
    return None if found.is_empty() else _wide(found)


def external_factors(session: Session) -> pl.DataFrame | None:
    """External factors of the release by day, past and to come, as `Panel.knowing` wants them."""
    if not session.holds("mart_external_factors"):  # a release from before there were any
        return None
    found = pl.DataFrame(session.query(_FACTORS))
    return None if found.is_empty() else found


def _wide(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort(*_KEY, "kind")
    return ordered.pivot("kind", index=_KEY, values="share", sort_columns=True).fill_null(0.0)
