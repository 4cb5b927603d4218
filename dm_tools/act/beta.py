"""Quantiles of the beta distribution. Our own: SciPy, which has the same as `beta.ppf`, outweighs all these tools."""

from __future__ import annotations

import functools
import math

_TINY = 1e-300
_STEPS = 500  # of the fraction: it wants about the square root of the larger parameter
_HALVINGS = 48


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method: https://dlmf.nist.gov/8.17.E22"""
    value = c = 1.0
    d = 1.0
    for step in range(1, _STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / (1.0 + term * d or _TINY)
        c = 1.0 + term / c or _TINY if step > 1 else 1.0
        value *= c * d
        if abs(c * d - 1.0) < 1e-13:
            break
    return value


def below(x: float, a: float, b: float) -> float:
    """The share of the distribution with the parameters a and b (both above 0) that lies below x, from 0 to 1."""
    if x <= 0.0 or x >= 1.0:
        return float(x > 0.0)
    if x > (a + 1.0) / (a + b + 2.0):  # there the fraction of the other side converges
        return 1.0 - below(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(a, b, x) / a


@functools.lru_cache(4096)
def quantile(share: float, a: float, b: float) -> float:
    """The x below which that share lies, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle, a, b) < share else (low, middle)
    return (low + high) / 2
