"""The closest forecasts that add up: sparse least squares with lower bounds.

hierarchicalforecast's MinTraceSparse hands Clarabel the same problem in money. Where variances span many orders of
magnitude, and those of real stores do, what comes back is far from the optimum, and nothing tells; in standard
deviations and with the residuals as variables of their own it is solved to the end.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mercurios.errors import ModelError
from mercurios.forecasting.hierarchy import Hierarchy

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Matrix = np.ndarray[Any, np.dtype[np.float64]]

_PINNED = 1e-5  # the least deviation, as a share of the largest: closer than that a node is held to its forecast anyway


def closest(hierarchy: Hierarchy, means: Matrix, variances: Matrix, floors: Matrix) -> Matrix:
    """Bottom series × periods, not below their floors, whose sums miss the means by the least squares over variances.

    means: nodes × periods; variances: of each node; floors: of each bottom series. A period in which all means are zero
    stays zero. Raises ModelError where the solver finds no end.
    """
    deviations = np.sqrt(variances)
    deviations = np.maximum(deviations, _PINNED * deviations.max()) if deviations.any() else np.ones_like(deviations)
    above = (means - (hierarchy.summing @ floors)[:, None]) / deviations[:, None]
    solve = _solver(hierarchy.summing, deviations)
    bottom = np.zeros((hierarchy.bottom, means.shape[1]))
    for period in np.flatnonzero(means.any(axis=0)):
        size = np.abs(above[:, period]).max() or 1.0
        bottom[:, period] = floors + size * solve(above[:, period] / size)
    return bottom


def _solver(summing: "csr_matrix", deviations: Matrix) -> Callable[[Matrix], Matrix]:
    """A function from one period's means, in deviations, to its bottom series.

    The variables are the series, each in the least deviation of its nodes, and the residuals of all nodes:
    sums + residuals = means, series ≥ 0, least squares of the residuals.
    """
    import clarabel
    from scipy.sparse import block_diag, csc_matrix, diags, eye, hstack, vstack

    nodes, series = summing.shape
    of_series = summing.tocsc()
    units = np.minimum.reduceat(deviations[of_series.indices], of_series.indptr[:-1])
    sums = diags(1 / deviations) @ summing @ diags(units)
    left = vstack([hstack([sums, eye(nodes)]), hstack([-eye(series), csc_matrix((series, nodes))])], format="csc")
    squares = block_diag([csc_matrix((series, series)), eye(nodes)], format="csc")
    cones = [clarabel.ZeroConeT(nodes), clarabel.NonnegativeConeT(series)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = 1e-12  # of squares: a millionth of the means

    def solve(means: Matrix) -> Matrix:
        right = np.concatenate([means, np.zeros(series)])
        solution = clarabel.DefaultSolver(squares, np.zeros(nodes + series), left, right, cones, settings).solve()
        if solution.status not in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
            raise ModelError(f"the forecasts cannot be made to add up ({solution.status}); check them for odd sizes")
        bottom: Matrix = units * np.maximum(np.array(solution.x[:series]), 0.0)
        return bottom

    return solve
