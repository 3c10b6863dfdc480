"""CompresSAE against its formulas written out densely; what it stores; what it takes from where."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from index.embeddings import SparseItemEmbeddings
from index.query import encode
from index.search import Searcher
from index.types import Array, Float32
from index.vocabulary import Vocabulary
from training import trainer
from training.errors import RunError, TrainingError
from training.models import autoencoder
from training.models.autoencoder import Autoencoder, Code, Weights
from training.models.compressae import CompresSae, Settings
from training.models.elsa import DenseFactors
from training.models.learner import Optimiser
from training.trainer import Schedule

ITEMS = Vocabulary.build([f"item {row}" for row in range(30)])
SMALL = Settings(k=4, n_dims=64, dense_dims=16, dense_epochs=4, step_items=16, learning_rate=3e-3)


def weights(seed: int, n_dims: int = 24, width: int = 6) -> Weights:
    rng = np.random.default_rng(seed)
    other, bias = torch.from_numpy(rng.standard_normal((width, n_dims))), torch.from_numpy(rng.random(n_dims) / 9)
    return Weights(*(each.requires_grad_() for each in (other, bias, directions(seed, n_dims, width))))


def directions(seed: int, n: int, width: int = 6) -> Tensor:
    rows = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, width)))
    return functional.normalize(rows, dim=1)


def cosines(w: Weights, unit: Tensor, k: int) -> Tensor:
    """The formulas, with dense codes."""
    entries = unit @ w.encoder_VD + w.bias_D
    least = entries.abs().sort(dim=1, descending=True).values[:, k - 1 : k]
    rebuilt = torch.where(entries.abs() >= least, entries, 0) @ w.decoder_DV
    found: Tensor = (unit * rebuilt).sum(1) / rebuilt.norm(dim=1) / unit.norm(dim=1)
    return found


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 24), st.sampled_from([0.0, 0.125, 2.0]))
def test_loss_and_gradients_are_those_of_the_formulas(seed: int, k: int, auxiliary_weight: float) -> None:
    w, unit = weights(seed), directions(seed + 1, 9)
    near, more = (1 - cosines(w, unit, n).mean() for n in (k, min(4 * k, 24)))
    expected = near + auxiliary_weight * more
    found = autoencoder.loss(w, unit, k, auxiliary_weight)
    assert float(found.detach()) == pytest.approx(float(expected.detach()))
    pairs = zip(*(torch.autograd.grad(each, w) for each in (expected, found)), strict=True)
    for wanted, gradient in pairs:
        torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-9)


def test_the_auxiliary_term_reaches_what_is_not_among_the_first_k() -> None:
    """It fails where the term is cut at k, as in the code of the baseline: then the loss is only scaled."""
    w, unit, k = weights(3), directions(4, 1), 2
    dims = autoencoder.encode(w, unit, 24).dims_BK[0]
    reached = {}
    for weight in (0.0, 0.125):
        (gradient,) = torch.autograd.grad(autoencoder.loss(w, unit, k, weight), w.encoder_VD)
        reached[weight] = (gradient[:, dims] != 0).any(0).tolist()
    assert reached[0.0] == [True] * k + [False] * (24 - k)
    assert reached[0.125] == [True] * 4 * k + [False] * (24 - 4 * k)
    only_scaled = 1.125 * autoencoder.loss(w, unit, k, 0.0)
    assert float(autoencoder.loss(w, unit, k, 0.125).detach()) < float(only_scaled.detach()) - 1e-3


def test_codes_keep_the_largest_of_either_sign() -> None:
    w = Weights(torch.eye(4), torch.tensor([0.0, 0, 0, 0.5]), torch.eye(4))
    code = autoencoder.encode(w, torch.tensor([[0.1, -0.7, 0.6, 0.0]]), 3)
    assert code.dims_BK.tolist() == [[1, 2, 3]]
    assert code.values_BK.tolist()[0] == pytest.approx([-0.7, 0.6, 0.5])
    assert autoencoder.decode(w, Code(*code).first(2)).tolist()[0] == pytest.approx([0, -0.7, 0.6, 0])


@pytest.mark.parametrize("n_dims", [4, 7, 20])
def test_the_decoder_begins_as_vectors_and_the_encoder_as_its_transpose(n_dims: int) -> None:
    given = directions(1, 9).float()
    given[3] = 0  # has no vector
    begun = autoencoder.initial_weights(given, n_dims, seed=5)
    torch.testing.assert_close(begun.decoder_DV.norm(dim=1), torch.ones(n_dims))
    assert torch.equal(begun.encoder_VD, begun.decoder_DV.t())
    assert not begun.bias_D.any()
    taken = (begun.decoder_DV @ given.t()).argmax(1)[:4].tolist()
    assert len(set(taken)) == 4
    assert all(torch.equal(begun.decoder_DV[dim], given[row]) for dim, row in enumerate(taken))


def test_every_pass_over_the_items_shows_each_once_in_another_order() -> None:
    dense = np.eye(7, 9, dtype=np.float32)
    dense[2] = 0  # has no vector
    coder = Autoencoder(dense, 12, learning_rate=1e-3, seed=5)
    seen = []
    for _ in range(6):
        batch = coder.next_items(4)
        seen += batch.argmax(1).tolist()
        coder.step(batch, 2, 0.125)
    passes = [seen[first : first + 6] for first in range(0, 24, 6)]
    assert all(sorted(each) == [0, 1, 3, 4, 5, 6] for each in passes)
    assert passes[0] != passes[1]
    assert len(coder.next_items(99)) == 6


def test_rows_of_the_decoder_have_unit_length_after_every_step() -> None:
    coder = Autoencoder(np.eye(9, dtype=np.float32), 12, learning_rate=0.1, seed=5)
    for _ in range(3):
        before = coder.weights.decoder_DV.detach().clone()
        coder.step(coder.next_items(9), 2, 0.125)
        assert not torch.equal(coder.weights.decoder_DV, before)
        torch.testing.assert_close(coder.weights.decoder_DV.norm(dim=1), torch.ones(12))


def learner(histories: csr_array, settings: Settings = SMALL, **given: Any) -> CompresSae:
    return CompresSae(histories, settings, Optimiser(), epochs=3, seed=5, **given)


def trained(made: CompresSae, histories: csr_array) -> dict[str, Array]:
    scores = iter(range(99))
    done = trainer.train(made, histories, Schedule(seed=5, batch_size=40, patience=9), lambda _: float(next(scores)))
    return dict(done.result)


@pytest.mark.parametrize("retrieval", ["codes", "kernel"])
def test_the_artifact_scores_as_the_model_does(checkerboard: csr_array, tmp_path: Path, retrieval: Any) -> None:
    """A user's score of an item: the sum, over the history, of cosines of codes or of reconstructions."""
    made = learner(checkerboard, replace(SMALL, retrieval=retrieval))
    result = trained(made, checkerboard)
    scale = np.linspace(0.5, 2, 30, dtype=np.float32)
    found = made.fitted(result).embeddings(ITEMS, scale)
    assert found is not None
    assert (found.query_factor is not None) == (retrieval == "kernel")
    found.save(tmp_path)
    found = SparseItemEmbeddings.load(tmp_path)
    assert np.diff(found.decoder.row_starts).tolist() == [SMALL.k] * 30
    rows = np.array([found.decoder.dense_row(row) for row in range(30)])
    compared = rows if found.query_factor is None else rows @ found.query_factor
    np.testing.assert_allclose(np.linalg.norm(compared, axis=1), 1, rtol=1e-5)
    history = np.array([3, 17, 4], np.int32)
    scores = Searcher.of(found).score_items(
        encode(found, history, np.ones(3, np.float32)), np.arange(30, dtype=np.int32)
    )
    np.testing.assert_allclose(scores, scale * (compared @ compared[history].sum(axis=0)), rtol=1e-4, atol=1e-5)


def test_the_best_dense_vectors_are_compressed(checkerboard: csr_array) -> None:
    """Not those of the last epoch of dense ELSA."""
    made = learner(checkerboard)
    results: list[Array | None] = []
    scores = iter([1.0, 3.0, 2.0, 1.5, 10.0, 11.0, 12.0])

    def validate(fitted: Any) -> float:
        results.append(fitted.vectors_ID.numpy() if isinstance(fitted, DenseFactors) else None)
        return next(scores)

    trainer.train(made, checkerboard, Schedule(seed=5, batch_size=40, patience=9), validate)
    assert [each is None for each in results] == [False] * 4 + [True] * 3
    np.testing.assert_array_equal(made.state()["dense"], results[1])


def written(folder: Path, dense: Float32) -> Settings:
    np.save(folder / "vectors.npy", dense[::-1])
    (folder / "ids.txt").write_text("".join(f"item {row}\n" for row in reversed(range(30))))
    return replace(SMALL, vectors=str(folder / "vectors.npy"), vector_ids=str(folder / "ids.txt"))


def test_vectors_of_a_file_are_as_good_as_those_of_dense_elsa(checkerboard: csr_array, tmp_path: Path) -> None:
    made = learner(checkerboard)
    expected = trained(made, checkerboard)
    settings = written(tmp_path, made.state()["dense"])
    other = learner(checkerboard, settings, items=ITEMS)
    assert [stage.name for stage in other.stages] == ["4 of 64 dims"] == [stage.name for stage in made.stages[1:]]
    # the order of the items follows from the seed and the steps, so that nothing else can differ
    found = trained(other, checkerboard)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_other_vectors_are_not_gone_on_with(checkerboard: csr_array, tmp_path: Path) -> None:
    dense = np.random.default_rng(1).standard_normal((30, 8)).astype(np.float32)
    began = learner(checkerboard, written(tmp_path, dense), items=ITEMS)
    began.start(0, {})
    began.step(checkerboard)
    learner(checkerboard, written(tmp_path, dense), items=ITEMS).restore(0, began.state())
    other = learner(checkerboard, written(tmp_path, dense + 1), items=ITEMS)
    with pytest.raises(RunError, match=r"vectors.npy holds other vectors than before; put those back, or train anew"):
        other.restore(0, began.state())


def test_an_item_without_a_vector_gets_no_code(checkerboard: csr_array, tmp_path: Path) -> None:
    dense = np.random.default_rng(1).standard_normal((30, 8)).astype(np.float32)
    dense[7] = 0
    made = learner(checkerboard, written(tmp_path, dense), items=ITEMS)
    found = made.fitted(trained(made, checkerboard)).embeddings(ITEMS, None)
    assert found is not None
    assert np.diff(found.decoder.row_starts).tolist() == [4] * 7 + [0] + [4] * 22


def test_histories_are_learnt_from_as_well(
    checkerboard: csr_array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As directions of sums; a history of which no item has a vector says nothing."""
    dense = np.random.default_rng(1).standard_normal((30, 8)).astype(np.float32)
    dense[7] = 0
    settings = replace(written(tmp_path, dense), histories=True)
    made = learner(checkerboard, settings, items=ITEMS)
    made.start(0, {})
    seen: list[Tensor] = []
    monkeypatch.setattr(Autoencoder, "step", lambda _, unit, *__: seen.append(unit))
    histories = np.zeros((3, 30), np.float32)
    histories[0, [1, 2]] = histories[1, 7] = histories[2, [7, 9]] = 1
    made.step(csr_array(histories))
    assert seen[0].shape == (16 + 2, 8)
    unit = dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
    both = unit[1] + unit[2]
    np.testing.assert_allclose(seen[0][16:], [both / np.linalg.norm(both), unit[9]], rtol=1e-5)


def test_what_cannot_be_is_refused(checkerboard: csr_array, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"model.k = 65 is more than n_dims = 64; lower k or raise n_dims"):
        learner(checkerboard, replace(SMALL, k=65))
    nothing = learner(checkerboard, written(tmp_path, np.zeros((30, 8), np.float32)), items=ITEMS)
    with pytest.raises(TrainingError, match="all dense vectors are zero, so there is nothing to compress"):
        nothing.start(0, {})
