"""What a general optimiser finds, for the closed answers to be held against."""

import cvxpy


def optimum(aims, sigma, caps, total):
    """What cvxpy finds for the mean-variance problem with these limits."""
    weights = cvxpy.Variable(len(aims))
    distance = cvxpy.sum_squares(cvxpy.multiply(weights - aims, sigma / sigma.min()))
    limits = [cvxpy.sum(weights) == total, weights >= 0, weights <= caps]
    cvxpy.Problem(cvxpy.Minimize(distance), limits).solve(
        solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
    )
    return weights.value
