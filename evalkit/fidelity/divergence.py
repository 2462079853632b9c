"""How far a file's next-token distributions are from the reference's: pure functions of arrays.

The reference's distribution is kept as its K likeliest tokens and one bucket for all others. Merging tokens
into a bucket can only lower a Kullback-Leibler divergence (the data processing inequality; Cover & Thomas,
Elements of Information Theory, 2.8), so what is computed from it is a lower bound of the full one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from evalkit.fidelity.engine import Rows

Array = NDArray[np.float64]

_LEAST = 1e-12  # of the others' probability: what float32 exponentials leave of one minus their sum


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """Of the n predicted tokens of an answer, under one file.

    Attributes:
        kl: KL(reference ‖ file) in nats, over K + 1 buckets.
        agree: whether file and reference have the same likeliest token.
        change: what the file adds to the log-probability of the answer's token, in nats.
        kept: whether the answer's token is the file's likeliest.
    """

    kl: Array
    agree: NDArray[np.bool_]
    change: Array
    kept: NDArray[np.bool_]


def divergence(logp: NDArray[Any], rest: NDArray[Any], logq: NDArray[Any], other_rest: NDArray[Any]) -> Array:
    """KL(p ‖ q) in nats of each row, over the K tokens of its columns and one bucket for all others.

    Args:
        logp, logq: (n, K) natural log-probabilities of the same tokens. NaN in `logq`: not known, so that
            the token is one of the others.
        rest, other_rest: (n,) the probability of all other tokens.

    Returns:
        (n,), not below 0.
    """
    one, other = logp.astype(np.float64), logq.astype(np.float64)
    known = ~np.isnan(other)
    kept = np.where(known, np.exp(one) * (one - other), 0.0).sum(axis=1)
    together = rest + np.where(known, 0.0, np.exp(one)).sum(axis=1)
    left, right = np.maximum(together, _LEAST), np.maximum(other_rest, _LEAST)
    others = np.where(together > _LEAST, left * np.log(left / right), 0.0)
    found: Array = np.maximum(kept + others, 0.0)
    return found


def token_figures(reference: Rows, file: Rows) -> TokenFigures:
    """The figures of one answer from its rows under both."""
    return TokenFigures(
        kl=divergence(reference.logp, reference.rest, file.logp, file.rest),
        agree=reference.best == file.best,
        change=file.taken - reference.taken,
        kept=file.best == reference.targets,
    )


def tokens_kept(kept: NDArray[np.bool_]) -> int | None:
    """How many tokens of the answer greedy decoding would repeat before it leaves; None: it never does."""
    left = np.nonzero(~kept)[0]
    return int(left[0]) if len(left) else None


def leaving_chance(change: Array) -> float:
    """The chance that one of some tokens of the reference is not the file's: 1 - Π min(1, q / p).

    It is the chance that speculative sampling with the reference as the draft model rejects one of them
    (Leviathan et al. 2023, arXiv 2211.17192): 0 where the file gives each at least the reference's
    probability, and so for the reference itself.

    Args:
        change: log q - log p of each token.
    """
    return float(-np.expm1(np.minimum(change, 0.0).sum()))
