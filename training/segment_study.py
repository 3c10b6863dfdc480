"""The segments of several seeds, measured beside sets that they have to be better than.

A share of the users takes no part: what they have together judges. The others are split as `fit` does, the same for
all seeds, so that seeds differ in nothing but the model's random numbers. Segments are found afresh for every seed, and
again as `publish` finds them: after those of the seed before, in each rotation of the seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from index import segments
from index.embeddings import SparseItemEmbeddings
from index.segments import CarriedIds, FoundSegment, Segments
from index.types import Float32, Int32
from index.vocabulary import Vocabulary
from training import job, recipe, segment_quality, segment_rivals, split
from training.errors import DataError, RunError
from training.models.elsa import DenseFactors
from training.recipe import Recipe
from training.run import Material
from training.segment_quality import Sets
from training.split import Split

HEAD = 20
"""The first members, which a row shows."""
SPLIT_SEED = 0
"""Draws who judges."""


@dataclass(frozen=True)
class Plan:
    """What is asked."""

    recipe: Recipe
    """Whose segments are measured."""
    rival: Recipe | None
    """Dense vectors for k-means; None: no k-means."""
    n_seeds: int = 3
    """Of the training."""
    test_share: float = 0.25
    """Of the users, who judge by what they have together."""


@dataclass(frozen=True)
class Known:
    """Segments as the next build finds them in a snapshot."""

    items: Vocabulary
    """Ids of its items."""
    found_segments: Segments
    """Its segments, which nobody has edited."""
    popularity: Float32
    """Users per item, (n_items,)."""


@dataclass(frozen=True)
class Ground:
    """What judges, the same for all."""

    divided: Split
    """Who trains, who validates, who judges."""
    popularity: Float32
    """Training users per item, (n_items,)."""
    spaces: Mapping[str, Any]
    """Unit rows by name: text and co_reading."""


def measure(plan: Plan, material: Material, device: str, done: Callable[[str], None]) -> dict[str, Any]:
    """The document; `done` is told after each of `n_steps`. Raises DataError and RunError."""
    ground = _ground(plan, material)
    made = []
    for seed in range(plan.n_seeds):
        made.append(_embeddings(plan.recipe, material, ground, seed, device))
        done(f"fit, seed {seed}")
    fresh = [segments.find(each, ground.popularity) for each in made]
    chains = [_chain(fresh, made, first, ground) for first in range(plan.n_seeds)]
    done("finding segments")
    ways = {"segments": [_sets(each) for each in fresh], "after others": [_sets(chain[-1]) for chain in chains]}
    ways |= _random(ways["segments"], ground)
    if plan.rival is not None:
        ways["k-means"] = []
        for seed, sets in enumerate(ways["segments"]):
            ways["k-means"].append(_by_k_means(plan.rival, material, ground, sets, seed, device))
            done(f"{plan.rival.model_name}, seed {seed}")
    return {
        "users": {name: len(getattr(ground.divided, name)) for name in ("train", "validation", "test")},
        "items": {"all": len(ground.popularity), "known": int((ground.popularity >= segment_quality.KNOWN).sum())},
        "seeds": plan.n_seeds,
        "figures": {name: _figures(seeds, ground) for name, seeds in ways.items()},
        "stability": _stability(ways["segments"], [[_sets(each) for each in chain] for chain in chains], ground),
    }


def n_steps(plan: Plan) -> int:
    """How often `measure` tells what is done."""
    return plan.n_seeds * (1 if plan.rival is None else 2) + 1


def _ground(plan: Plan, material: Material) -> Ground:
    histories = material.interactions.matrix()
    share = plan.recipe.evaluation.validation_share
    groups = split.groups(histories.shape[0], SPLIT_SEED, n_groups=1, test=plan.test_share, validation=share)
    divided = next(groups)
    read = segment_quality.co_reading(histories[divided.test])
    popularity = np.bincount(histories[divided.train].indices, minlength=histories.shape[1]).astype(np.float32)
    return Ground(divided, popularity, {"text": segment_quality.texts(material.properties), "co_reading": read})


def _fitted(chosen: Recipe, material: Material, ground: Ground, seed: int, device: str) -> job.Job:
    seeded = replace(chosen, training=replace(chosen.training, seed=seed))
    data = material.interactions
    return job.run(seeded, data.matrix(), ground.divided, items=data.items, device=device)


def _embeddings(chosen: Recipe, material: Material, ground: Ground, seed: int, device: str) -> SparseItemEmbeddings:
    fitted = _fitted(chosen, material, ground, seed, device)
    made = fitted.model.embeddings(material.interactions.items, fitted.item_scale)
    if made is None or made.dims_are == "items":
        raise RunError(f"there are no segments of {chosen.model_name}; fit {recipe.DEFAULT}")
    return made


def _chain(
    fresh: Sequence[list[FoundSegment]], made: Sequence[SparseItemEmbeddings], first: int, ground: Ground
) -> list[list[FoundSegment]]:
    """What is found seed after seed, beginning with one that had none before it; each after the one before."""
    found = [fresh[first]]
    for step in range(1, len(made)):
        before, current = made[(first + step - 1) % len(made)], made[(first + step) % len(made)]
        found.append(segments.find(current, ground.popularity, _known(found[-1], before, ground.popularity)))
    return found


def _known(found: Sequence[FoundSegment], embeddings: SparseItemEmbeddings, popularity: Float32) -> Known:
    ids = CarriedIds(tuple(map(str, range(len(found)))), frozenset())
    untitled = segments.assemble(found, ids, ids.ids, [()] * len(found), embeddings.n_dims)
    return Known(embeddings.items, untitled, popularity)


def _sets(found: Sequence[FoundSegment]) -> list[Int32]:
    return [each.items for each in found]


def _random(seeds: Sequence[Sets], ground: Ground) -> dict[str, list[list[Int32]]]:
    """Of each seed random sets, by both ways of drawing, among the items of its segments."""
    free, popular = [], []
    for seed, sets in enumerate(seeds):
        pool = np.unique(np.concatenate([np.empty(0, np.int32), *sets]))
        rng = np.random.default_rng(seed)
        free.append(segment_rivals.random_sets(sets, pool, rng))
        popular.append(segment_rivals.as_popular(sets, pool, ground.popularity, rng))
    return {"random": free, "random, as popular": popular}


def _by_k_means(rival: Recipe, material: Material, ground: Ground, sets: Sets, seed: int, device: str) -> list[Int32]:
    """Sets of the same number and sizes, among the items with KNOWN users."""
    model = _fitted(rival, material, ground, seed, device).model
    if not isinstance(model, DenseFactors):
        raise RunError(f"k-means needs dense vectors, which {rival.model_name} has not; name elsa, or none")
    pool = np.flatnonzero(ground.popularity >= segment_quality.KNOWN).astype(np.int32)
    if len(sets) > len(pool):
        raise DataError(
            f"{len(pool)} items have {segment_quality.KNOWN} users: too few for k-means of {len(sets)} sets"
        )
    lengths = np.array([len(items) for items in sets], np.int64)
    vectors = np.asarray(model.vectors_ID.cpu().numpy(), np.float32)
    return segment_rivals.nearest_sets(vectors, lengths, pool, np.random.default_rng(seed))


def _figures(seeds: Sequence[Sets], ground: Ground) -> dict[str, Any]:
    told = [_of_one(sets, ground) for sets in seeds]
    return {name: spread([each[name] for each in told]) for name in told[0]}


def _of_one(sets: Sets, ground: Ground) -> dict[str, float]:
    n_items = len(ground.popularity)
    heads = [items[:HEAD] for items in sets]
    return {
        "number": len(sets),
        **{f"size_{name}": value for name, value in segment_quality.sizes(sets).items()},
        "coverage": segment_quality.coverage(sets, ground.popularity),
        "coverage_of_all": segment_quality.coverage(sets, ground.popularity, least=0),
        **{f"overlap_{name}": value for name, value in segment_quality.overlap(sets, n_items).items()},
        **{name: segment_quality.coherence(rows, sets) for name, rows in ground.spaces.items()},
        **{f"{name}_of_first": segment_quality.coherence(rows, heads) for name, rows in ground.spaces.items()},
    }


def _stability(fresh: Sequence[Sets], chains: Sequence[Sequence[Sets]], ground: Ground) -> dict[str, Any]:
    """Shares of segments that are found again; empty with one seed."""

    def again(pairs: Sequence[tuple[Sets, Sets]]) -> dict[str, Any]:
        return spread([segment_quality.found_again(one, other, len(ground.popularity)) for one, other in pairs])

    if len(fresh) < 2:
        return {}
    return {
        "two fits, each afresh": again([(a, b) for i, a in enumerate(fresh) for b in fresh[i + 1 :]]),
        "a fit after another": again([pair for chain in chains for pair in pairwise(chain)]),
        "the last fit of all, and the first": again([(chain[0], chain[-1]) for chain in chains]),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """The mean of seeds, their standard deviation (None for one), and all of them."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "values": list(values)}


ROWS = {
    "number": "segments",
    "size_least": "items of the smallest",
    "size_median": "of the median one",
    "size_largest": "of the largest",
    "coverage": f"coverage of items with {segment_quality.KNOWN} users",
    "coverage_of_all": "coverage of all items",
    "overlap_nearest_median": "overlap with the nearest other, median",
    "overlap_nearest_maximum": "the same, maximum",
    "overlap_pairs_median": "overlap of all pairs, median",
    "overlap_sharing_pairs_median": "overlap of pairs that share an item, median",
    "text": "coherence of texts",
    "text_of_first": f"the same, first {HEAD} items",
    "co_reading": "coherence of held-out co-reading",
    "co_reading_of_first": f"the same, first {HEAD} items",
}
"""What the table tells."""


def markdown(document: Mapping[str, Any]) -> str:
    """The figures as a table, a way a column, and what is found again; in brackets standard deviations over seeds."""
    ways = document["figures"]
    lines = ["| | " + " | ".join(ways) + " |", "| --- " * (len(ways) + 1) + "|"]
    for name, told in ROWS.items():
        lines.append(f"| {told} | " + " | ".join(_cell(name, figures[name]) for figures in ways.values()) + " |")
    lines += [""] if document["stability"] else []
    lines += [f"found again, {name}: {_cell('share', each)}" for name, each in document["stability"].items()]
    return "\n".join(lines) + "\n"


def _cell(name: str, figure: Mapping[str, Any]) -> str:
    digits = 0 if name == "number" or name.startswith("size_") else 4 if "text" in name or "reading" in name else 3
    sd = figure["sd"]
    return f"{figure['mean']:.{digits}f}" + ("" if sd is None else f" ({sd:.{digits}f})")
