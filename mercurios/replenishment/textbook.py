"""What others do: order-up-to levels of normal theory and of the myopic newsvendor, from past demand alone."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from mercurios.replenishment.protection import Floats


@dataclass(frozen=True)
class Supply:
    """Mean and variance of each item's lead time, and the time between reviews, in periods."""

    lead_mean: Floats
    lead_variance: Floats
    review_periods: int = 1


def safety_stock_levels(past: Floats, supply: Supply, z: float, *, window: int, varying: bool = False) -> Floats:
    """Order-up-to level by item: mean demand of lead time and review plus z standard deviations of it.

    past: items × periods. window: periods of the moving mean and the standard deviation. varying: whether the variance
    of the lead time counts too.
    """
    recent = past[:, -window:]
    mean, variance = recent.mean(axis=1), recent.var(axis=1, ddof=1)
    protection = supply.lead_mean + supply.review_periods
    spread = variance * protection + (supply.lead_variance * mean**2 if varying else 0.0)
    return np.asarray(mean * protection + z * np.sqrt(spread))


def newsvendor_levels(past: Floats, supply: Supply, ratio: Floats, *, window: int) -> Floats:
    """Order-up-to level by item: the critical-ratio quantile of the next period, plus mean demand of the lead time.

    past: items × periods; its moving mean and standard deviation make a normal distribution. ratio: by item.
    """
    recent = past[:, -window:]
    mean = recent.mean(axis=1)
    return np.asarray(mean * (1 + supply.lead_mean) + norm.ppf(ratio) * recent.std(axis=1, ddof=1))
