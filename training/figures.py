"""Figures of users: their mean, how sure it is, and the paired difference of two.

    mean             m = sum_u w_u v_u / sum_u w_u
    standard error   sqrt(n / (n - 1) sum_u (w_u (v_u - m))^2) / sum_u w_u

With equal weights this is the mean over users and s / sqrt(n). With others it is a quotient of two sums over users (as
the penalised recall is), and the error that of a quotient linearised at its mean (Cochran, Sampling Techniques, 6.4).
Users are what is sampled: whatever one user was asked moves together and counts as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.types import Array, Int32


@dataclass(frozen=True)
class PerUser:
    """One figure of each of some users; all arrays (n_users,)."""

    users: Int32
    """Rows of the users, ascending."""
    values: Array
    """Of the metric, float64."""
    weights: Array
    """How much the user counts, > 0."""

    def mean(self) -> float:
        """The weighted mean over users."""
        return float(np.average(self.values, weights=self.weights))

    def standard_error(self) -> float | None:
        """The standard error of the mean over users; None for a single user."""
        n = len(self.users)
        if n < 2:
            return None
        residuals = self.weights * (self.values - self.mean())
        return float(np.sqrt(n / (n - 1) * np.square(residuals).sum()) / self.weights.sum())

    def minus(self, other: "PerUser") -> "PerUser":
        """The difference of each user's own figures: paired. ValueError if they are not of the same users."""
        if not np.array_equal(self.users, other.users):
            raise ValueError("only figures of the same users can be paired")
        return PerUser(self.users, self.values - other.values, (self.weights + other.weights) / 2)


def of_questions(users: Int32, values: Array, weights: Array | None = None) -> PerUser:
    """Figures of questions, (n_questions,) each, to figures of users: the mean of the user's questions.

    weights: of the questions; a user's is their sum. None: users count alike, whatever they were asked.
    """
    rows, owner = np.unique(users, return_inverse=True)
    if weights is None:
        return PerUser(rows, np.bincount(owner, weights=values) / np.bincount(owner), np.ones(len(rows)))
    total = np.bincount(owner, weights=weights)
    return PerUser(rows, np.bincount(owner, weights=weights * values) / total, total)


def joined(parts: Sequence[PerUser]) -> PerUser:
    """The figures of several groups of users; a user in several gets the mean of the own figures and weights."""
    users = np.concatenate([each.users for each in parts])
    values = np.concatenate([each.values for each in parts])
    weights = np.concatenate([each.weights for each in parts])
    pooled = of_questions(users, values, weights)
    return PerUser(pooled.users, pooled.values, pooled.weights / np.unique(users, return_counts=True)[1])
