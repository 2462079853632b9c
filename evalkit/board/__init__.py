"""All that is derived under results/: from run records and published tables to tables, site and files."""

from __future__ import annotations

RULE = (
    "Of several runs of one model (same name, same weights) that were asked the same questions of the same "
    "data under the same protocol, sampling, limit and seed, the most complete one is shown: the most "
    "benchmarks, then the most scored answers, then the later start, then the later run id. One with a "
    "benchmark that the shown ones lack is shown too. A run that is in results/records/ and in results/runs/ "
    "is taken from the former."
)
