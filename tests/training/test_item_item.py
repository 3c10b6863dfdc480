"""From a fit of a model whose dimensions are items to a snapshot that answers: no segments, and a page without them."""

from pathlib import Path

import numpy as np
import pytest

from app import homepage, recommend
from app.placing import Size
from app.store.users import Interaction, UserState
from index import snapshot
from index.query import contributions, encode
from index.snapshot import Snapshot
from training import datasets, interactions, items, recipe, release, run, trainer
from training.interactions import Filters
from training.models import item_item

MODELS = {
    "pruned-ease": ["model.k=12", "output.shrinkage=[3.0]"],
    "item-knn": ["model.k=12"],
    "sansa": ["model.k=12", "output.shrinkage=[3.0]"],
}
GIVEN = np.array([1, 30, 200], np.int32)


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, books_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a model was fitted, in `run`."""
    data, loaded = interactions.load(books_file, filters=Filters(min_item_support=5))
    properties, described = items.load(datasets.bundled("goodbooks").items, data.items)
    chosen = recipe.load(request.param, [*MODELS[request.param], "filters.min_item_support=5"])
    made = tmp_path_factory.mktemp(request.param)
    material = run.Material(data, loaded, properties, described)
    run.fit(made / "run", chosen, material, device="cpu", monitor=trainer.Silent())
    return made


@pytest.fixture(scope="module")
def published(folder: Path) -> Snapshot:
    """Its snapshot."""
    made = release.publish(folder / "run", folder / "snapshots", lambda _: None)
    assert (made.current, made.n_segments) == (True, 0)
    snapshot.verify(folder / "snapshots", made.version)
    return snapshot.open_snapshot(folder / "snapshots", made.version)


def scores(of: Snapshot, given: np.ndarray) -> np.ndarray:
    """The formula, dense."""
    decoder = item_item.as_matrix(of.embeddings.decoder.floats()).toarray().astype(np.float64)
    history = np.isin(np.arange(len(decoder)), given).astype(np.float64)
    query = history @ decoder if of.embeddings.encoder == "tied" else history
    return np.asarray(decoder @ query * (1 if of.embeddings.item_scale is None else of.embeddings.item_scale))


def test_a_snapshot_answers_what_the_formula_says(published: Snapshot) -> None:
    assert published.manifest.dims_are == "items"
    query = encode(published.embeddings, GIVEN, np.ones(3, np.float32))
    hits = published.searcher.top_n(query, 30, exclude=GIVEN)
    expected = scores(published, GIVEN)
    expected[GIVEN] = -np.inf
    np.testing.assert_allclose(hits.scores, np.sort(expected)[::-1][:30], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(hits.scores, expected[hits.items], rtol=1e-4, atol=1e-6)
    assert (hits.scores > 0).all()


def test_answers_are_owed_to_items_of_the_history(published: Snapshot) -> None:
    query = encode(published.embeddings, GIVEN, np.ones(3, np.float32))
    (best,) = published.searcher.top_n(query, 1, exclude=GIVEN).items
    target = published.embeddings.decoder.dense_row(int(best))
    shares = contributions(published.embeddings, GIVEN, np.ones(3, np.float32), query, target)
    alone = [scores(published, GIVEN[place : place + 1])[best] for place in range(3)]
    factor = 1 if published.embeddings.item_scale is None else published.embeddings.item_scale[best]
    np.testing.assert_allclose(shares * factor, alone, rtol=1e-4, atol=1e-6)


def test_int8_hardly_changes_the_scores(published: Snapshot, folder: Path) -> None:
    made = release.publish(folder / "run", folder / "snapshots", lambda _: None, values="int8")
    coded = snapshot.open_snapshot(folder / "snapshots", made.version)
    plain, rounded = scores(published, GIVEN), scores(coded, GIVEN)
    assert np.corrcoef(plain, rounded)[0, 1] > 0.999


def test_a_page_has_no_segments_but_reasons(published: Snapshot) -> None:
    liked = [Interaction(published.items.item_id(row), "like", 1.0, float(row)) for row in (1, 30, 200, 301)]
    nobody = UserState((), np.empty(0, np.uint64), np.empty(0, np.uint64))
    profile = recommend.resolve(published, nobody, liked)
    assert profile.personal
    rows = homepage.page(published, profile, Size(6, 10, 0.5))
    kinds = [row.kind for row in rows]
    assert kinds[0] == "top_picks"
    assert "because" in kinds
    assert "segment" not in kinds
    assert all((row.hits.scores > 0).all() for row in rows)


def test_a_page_for_nobody_in_particular(published: Snapshot) -> None:
    nobody = UserState((), np.empty(0, np.uint64), np.empty(0, np.uint64))
    profile = recommend.resolve(published, nobody, [])
    assert [row.kind for row in homepage.page(published, profile, Size(6, 10, 0.5))] == ["popular"]
