"""What every question answers with: figures for the document, samples for the plots, ratios between samples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.timing import Samples
from index.types import JSON


@dataclass(frozen=True)
class Finding:
    """The answer to one question about one catalogue."""

    figures: Mapping[str, JSON]
    """For the document."""
    samples: Mapping[str, Samples]
    """What was timed, by task."""


def ratio(slower: Samples, faster: Samples) -> dict[str, JSON]:
    """How many times longer the first takes: the ratio of medians, the median of ratios by query, and in CPU time."""
    by_query = slower.per_query_ms() / faster.per_query_ms()
    return {
        "wall": slower.median_ms() / faster.median_ms(),
        "by_query": float(np.median(by_query)),
        "cpu": float(np.median(slower.cpu) / np.median(faster.cpu)),
    }


def summaries(samples: Mapping[str, Samples]) -> dict[str, JSON]:
    """Percentiles of every task."""
    return {name: each.summary() for name, each in samples.items()}
