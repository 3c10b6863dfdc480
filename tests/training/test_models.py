"""What every model must do, and what only some do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from index.embeddings import SparseItemEmbeddings
from index.vocabulary import Vocabulary
from training import evaluate, job, recipe, split
from training.errors import CatalogueTooLargeError, TrainingError
from training.interactions import Interactions
from training.models import compressed_elsa, cooccurrence, registry
from training.models.compressed_elsa import CompressedElsa, default_dims
from training.models.learner import Optimiser
from training.recipe import Recipe

NAMES = recipe.names()
LEARNT = [name for name in NAMES if isinstance(registry.MODELS[recipe.load(name).model_name], registry.Learnt)]
PERSONAL = [name for name in NAMES if name != "popularity"]
DRAWN = [*LEARNT, "ials"]


def small(name: str, *overrides: str) -> Recipe:
    """The bundled recipe, at a size for small data."""
    compressed = ["model.k=8", "model.n_dims=64", "model.dense_dims=32", "model.dense_epochs=8"]
    quick = {
        "ials": ["model.n_dims=2", "model.l2=1"],
        "ease": ["model.l2=1000"],
        "elsa": ["model.n_dims=32", "training.epochs=8", "training.batch_size=16"],
        "compressed-elsa": ["model.k=8", "training.epochs=8", "training.batch_size=16"],
        "compressae": [*compressed, "training.epochs=8", "training.batch_size=16"],
        "compressae-kernel": [*compressed, "training.epochs=8", "training.batch_size=16"],
    }
    return recipe.load(name, [*quick.get(name, []), *overrides])


def fit(name: str, histories: csr_array, *overrides: str) -> job.Job:
    chosen = small(name, *overrides)
    held = split.holdout(histories.shape[0], chosen.training.seed, share=0.1)
    return job.run(chosen, histories, held)


@pytest.fixture(scope="module")
def fitted(checkerboard: csr_array) -> Callable[[str], job.Job]:
    """Each model fitted to the checkerboard, once."""
    kept: dict[str, job.Job] = {}

    def get(name: str) -> job.Job:
        if name not in kept:
            kept[name] = fit(name, checkerboard)
        return kept[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_new_to_the_user_and_in_order(name: str, fitted: Callable[[str], job.Job]) -> None:
    histories = [np.array(items, np.int32) for items in ([0, 1, 2], [29], [3, 4, 16, 17, 18])]
    answers = list(fitted(name).retriever().retrieve(histories, 12))
    assert len(answers) == 3
    for history, hits in zip(histories, answers, strict=True):
        assert len(hits.items) == 12
        assert len(set(hits.items.tolist())) == 12
        assert not np.isin(hits.items, history).any()
        assert np.all(np.diff(hits.scores) <= 0)
        assert np.isfinite(hits.scores).all()


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_left_is_answered_and_no_more(name: str, fitted: Callable[[str], job.Job]) -> None:
    (hits,) = fitted(name).retriever().retrieve([np.arange(25, dtype=np.int32)], 100)
    assert sorted(hits.items.tolist()) == [25, 26, 27, 28, 29]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_answers(
    name: str, fitted: Callable[[str], job.Job], checkerboard: csr_array
) -> None:
    again = fit(name, checkerboard)
    history = [np.array([0, 5, 20], np.int32)]
    (one,), (other,) = (each.retriever().retrieve(history, 20) for each in (fitted(name), again))
    assert np.array_equal(one.items, other.items)
    assert np.array_equal(one.scores, other.scores)


@pytest.mark.parametrize("name", DRAWN)
def test_another_seed_gives_another_model(name: str, fitted: Callable[[str], job.Job], checkerboard: csr_array) -> None:
    other = fit(name, checkerboard, "training.seed=43")
    history = [np.array([0, 5, 20], np.int32)]
    (one,), (two,) = (each.retriever().retrieve(history, 20) for each in (fitted(name), other))
    assert not np.array_equal(one.scores, two.scores)


@pytest.mark.parametrize("name", PERSONAL)
def test_planted_tastes_are_found(name: str, fitted: Callable[[str], job.Job]) -> None:
    """Whoever has four items of a group gets the other eleven before any of the other group."""
    for group in (0, 15):
        (hits,) = fitted(name).retriever().retrieve([np.arange(group, group + 4, dtype=np.int32)], 11)
        assert set(hits.items.tolist()) == set(range(group + 4, group + 15))


@pytest.mark.parametrize("name", PERSONAL)
def test_beats_popularity_on_real_books(name: str, books: Interactions) -> None:
    quick = ["training.epochs=3", "training.batch_size=32"] if name in LEARNT else []
    quick = ["model.n_dims=16"] if name == "ials" else quick
    ours, floor = (fit(each, books.matrix(), *extra) for each, extra in ((name, quick), ("popularity", [])))
    assert ours.validation.mean(evaluate.MAIN) > 1.2 * floor.validation.mean(evaluate.MAIN)


@pytest.mark.parametrize("name", PERSONAL)
def test_an_item_nobody_in_training_has_gets_no_vector(name: str, checkerboard: csr_array) -> None:
    """It could only be noise: with a zero row it scores zero for everyone."""
    wider = csr_array((checkerboard.data, checkerboard.indices, checkerboard.indptr), shape=(120, 31))
    (hits,) = fit(name, wider).retriever().retrieve([np.array([1, 2, 3], np.int32)], 28)
    assert hits.scores[hits.items == 30] == 0


@pytest.mark.parametrize("name", ["elsa", "compressae"])
def test_a_catalogue_beyond_the_limit_is_refused(name: str) -> None:
    with pytest.raises(CatalogueTooLargeError, match=r"100,001 items.*100,000: raise filters.min_item_support"):
        fit(name, csr_array((np.ones(8), np.arange(8), np.arange(0, 10, 2)), shape=(4, 100_001)))


def test_beyond_the_limit_compressed_elsa_draws_its_outputs(
    checkerboard: csr_array, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = ["training.batch_size=4", "training.epochs=2"]
    whole = fit("compressed-elsa", checkerboard, *quick)
    same = fit("compressed-elsa", checkerboard, *quick, "model.n_outputs=30")
    monkeypatch.setattr(compressed_elsa, "MAX_OUTPUTS", 29)
    drawn = fit("compressed-elsa", checkerboard, *quick)
    assert whole.progress
    assert same.progress
    assert drawn.progress
    assert [each["loss"] for each in whole.progress.records] == [each["loss"] for each in same.progress.records]
    assert whole.progress.records[0]["loss"] != drawn.progress.records[0]["loss"]
    for group in (0, 15):
        (hits,) = drawn.retriever().retrieve([np.arange(group, group + 4, dtype=np.int32)], 11)
        assert set(hits.items.tolist()) == set(range(group + 4, group + 15))


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"schedule": "step-wise"}, r"step-wise begins with 512 of 512"),
        ({"start_k": 120}, r"halving begins with 120 of 512"),
        ({"schedule": "constant", "k": 103}, r"constant begins with 103 of 512"),
    ],
)
def test_dense_rows_beyond_the_limit_are_refused_before_any_work(asked: dict[str, Any], begins: str) -> None:
    histories = csr_array((np.ones(8), np.arange(8), np.arange(0, 10, 2)), shape=(4, 100_001))
    settings = compressed_elsa.Settings(n_dims=512, **asked)
    ending = r".* all 100,001 items, not 100,000: choose the schedule halving, .* model.n_outputs = 100001"
    with pytest.raises(TrainingError, match="model.schedule = " + begins + ending):
        CompressedElsa(histories, settings, Optimiser(), epochs=1, seed=1)
    CompressedElsa(histories, replace(settings, n_outputs=100_001), Optimiser(), epochs=1, seed=1)


def embeddings(done: job.Job) -> SparseItemEmbeddings:
    found = done.model.embeddings(Vocabulary.build([f"item {row}" for row in range(30)]), done.item_scale)
    assert found is not None
    return found


def test_compressed_rows_have_k_values_and_unit_length(fitted: Callable[[str], job.Job]) -> None:
    found = embeddings(fitted("compressed-elsa"))
    assert found.decoder.n_rows == 30
    assert found.n_dims == 512
    assert found.encoder == "tied"
    assert found.dims_are == "latents"
    assert found.decoder.dims.dtype == np.uint16
    for row in range(30):
        dims, values = found.decoder.row(row)
        assert len(dims) == 8
        assert np.all(np.diff(dims.astype(int)) > 0)
        assert np.linalg.norm(values) == pytest.approx(1, abs=1e-6)


def test_only_sparse_models_have_something_to_publish(fitted: Callable[[str], job.Job]) -> None:
    items = Vocabulary.build([str(row) for row in range(30)])
    published = [name for name in NAMES if fitted(name).model.embeddings(items, None) is not None]
    assert published == [
        "compressae",
        "compressae-kernel",
        "compressed-elsa",
        "item-knn",
        "pruned-ease",
        "sansa",
        "two-hop",
    ]


def test_the_item_scale_is_part_of_the_score(fitted: Callable[[str], job.Job]) -> None:
    for name in PERSONAL:
        model = fitted(name).model
        scale = np.linspace(0.5, 2, 30).astype(np.float32)
        history = [np.array([0, 1], np.int32)]
        (plain,), (scaled,) = (model.retriever(each).retrieve(history, 28) for each in (None, scale))
        expected = np.zeros(30, np.float32)
        expected[plain.items] = plain.scores
        expected *= scale
        np.testing.assert_allclose(scaled.scores, expected[scaled.items], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("n_items", "expected"), [(1, 512), (1_500, 512), (3_533, 1024), (9_882, 4096), (40_981, 4096), (100_000, 4096)]
)
def test_default_width_of_the_space(n_items: int, expected: int) -> None:
    assert default_dims(n_items) == expected


@pytest.mark.parametrize(
    ("k", "n_dims", "start_k", "expected"),
    [
        (16, 4096, 0, (128, 64, 32, 16)),
        (16, 512, 0, (32, 16)),
        (24, 4096, 0, (128, 64, 32, 24)),
        (128, 4096, 0, (256, 128)),
        (16, 4096, 16, (16,)),
        (512, 512, 0, (512,)),
    ],
)
def test_halving(checkerboard: csr_array, k: int, n_dims: int, start_k: int, expected: tuple[int, ...]) -> None:
    settings = compressed_elsa.Settings(k=k, n_dims=n_dims, start_k=start_k)
    stages = CompressedElsa(checkerboard, settings, Optimiser(), epochs=3, seed=1).stages
    assert [stage.name for stage in stages] == [f"{width} values per item" for width in expected]
    assert [stage.epochs for stage in stages] == [1] * (len(expected) - 1) + [3]


def test_more_values_than_dimensions_are_refused(checkerboard: csr_array) -> None:
    settings = compressed_elsa.Settings(k=40, n_dims=32)
    with pytest.raises(TrainingError, match=r"model.k = 40 is more than n_dims = 32; lower k or raise n_dims"):
        CompressedElsa(checkerboard, settings, Optimiser(), epochs=1, seed=1)


@pytest.mark.parametrize("restart", [True, False])
def test_a_stage_keeps_the_largest_values_of_the_one_before(checkerboard: csr_array, restart: bool) -> None:
    settings = compressed_elsa.Settings(k=8, restart=restart)
    learner = CompressedElsa(checkerboard, settings, Optimiser(), epochs=1, seed=1)
    learner.start(0, {})
    for start in range(0, 120, 20):
        learner.step(checkerboard[start : start + 20])
    trained = learner.state()
    learner.start(1, {})
    after = learner.state()
    assert after["dims"].shape == (30, 8)
    initial = cooccurrence.initial_at(torch.from_numpy(after["dims"]).long(), 512, 1)
    assert np.array_equal(after["values"], initial.numpy()) == restart
    for row in range(30):
        places = np.flatnonzero(np.isin(trained["dims"][row], after["dims"][row]))
        assert len(places) == 8
        kept = np.abs(trained["values"][row])
        assert kept[places].min() >= np.delete(kept, places).max()
        if not restart:
            unit = trained["values"][row] / np.linalg.norm(trained["values"][row])
            np.testing.assert_allclose(
                after["values"][row] / after["values"][row][0], unit[places] / unit[places][0], 1e-4
            )


def test_non_negative_values_and_a_cut_query(checkerboard: csr_array) -> None:
    found = embeddings(fit("compressed-elsa", checkerboard, "model.non_negative=true", "model.query_dims=20"))
    assert (found.decoder.values > 0).all()
    assert found.query_dims == 20


def test_shrinkage_is_chosen_on_validation_users(books: Interactions) -> None:
    chosen = small("compressed-elsa", "training.epochs=1", "training.batch_size=64")
    held = split.holdout(300, 42, share=0.05)
    scores = {}
    for shrinkage in (0.0, 30.0):
        only = replace(chosen, output=recipe.Output((shrinkage,)))
        scores[shrinkage] = job.run(only, books.matrix(), held).validation.mean(evaluate.MAIN)
    free = job.run(replace(chosen, output=recipe.Output(tuple(scores))), books.matrix(), held)
    assert free.validation.mean(evaluate.MAIN) == max(scores.values())
    assert scores[free.shrinkage] == max(scores.values())
