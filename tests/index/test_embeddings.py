"""The artifact that training writes: whole after save and load, refused if a rule is broken."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import embeddings, sparse
from index.embeddings import METADATA, SparseItemEmbeddings, SparseRows
from index.errors import CorruptSnapshot, InvalidEmbeddings, UnsupportedFormat
from index.vocabulary import Vocabulary

Make = Callable[..., SparseItemEmbeddings]
SCALE = np.linspace(0, 1, 20, dtype=np.float32)
FACTOR = np.arange(24, dtype=np.float32).reshape(8, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"own_encoder": True, "item_scale": SCALE, "query_dims": 3, "provenance": {"model": "x", "seed": 3}},
        {"n_dims": 20, "encoder": "identity", "dims_are": "items"},
        {"density": 0.0},
        {"int8": True},
        {"query_factor": FACTOR, "query_dims": 3},
        {"query_factor": np.asfortranarray(FACTOR), "own_encoder": True},
        {"int8": True, "own_encoder": True, "density": 0.0},
    ],
)
def test_saved_and_loaded_it_is_the_same(make: Make, tmp_path: Path, fields: dict[str, Any]) -> None:
    given = make(**fields)
    given.save(tmp_path / "deep" / "run")
    loaded = SparseItemEmbeddings.load(tmp_path / "deep" / "run")
    assert embeddings.header(loaded) == embeddings.header(given)
    if given.query_factor is not None:
        np.testing.assert_array_equal(loaded.query_factor, given.query_factor)
    assert loaded.provenance == given.provenance
    assert (loaded.n_items, loaded.n_dims) == (given.n_items, given.n_dims)
    stored, original = embeddings.to_arrays(loaded), embeddings.to_arrays(given)
    assert stored.keys() == original.keys()
    for name, array in original.items():
        assert stored[name].dtype == array.dtype
        assert not stored[name].flags.writeable
        np.testing.assert_array_equal(stored[name], array)


def rows(n_rows: int, n_dims: int) -> SparseRows:
    return SparseRows.from_csr(np.zeros(n_rows + 1, dtype=np.int64), np.empty(0), np.empty(0), n_dims)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"decoder": rows(19, 8)}, "n_items is|decoder is 19 x 8, where there are 20 items and 8 dims"),
        ({"encoder": rows(20, 7)}, "encoder is 20 x 7, where there are 20 items and 8 dims"),
        ({"decoder": rows(20, 0)}, "n_dims is 0; must be a whole number from 1"),
        ({"encoder": "identity"}, "must be 20 dims, not 8"),
        ({"dims_are": "items"}, "must be 20 dims, not 8"),
        ({"encoder": sparse.quantised(rows(20, 8))}, "encoder has steps, as for int8; its values must be float32"),
        ({"encoder": "other"}, "encoder is 'other'; must be one of tied, identity, rows"),
        ({"dims_are": "other"}, "dims_are is 'other'; must be one of latents, items"),
        ({"query_dims": 0}, "query_dims is 0; must be null or a whole number from 1"),
        (
            {"query_factor": FACTOR.astype(np.float64)},
            r"query_factor is float64 of \(8, 3\); must be float32 of \(8, any",
        ),
        ({"query_factor": FACTOR[:7]}, r"query_factor is float32 of \(7, 3\); must be float32 of \(8, any"),
        ({"query_factor": FACTOR[:, 0]}, r"query_factor is float32 of \(8,\); must be float32 of \(8, any"),
        ({"query_factor": FACTOR[:, :0]}, "query_width is 0; must be null or a whole number from 1"),
        ({"query_factor": np.where(FACTOR == 10, np.float32(np.inf), FACTOR)}, "query_factor of dim 3 holds a value"),
        ({"item_scale": SCALE[:3]}, r"item_scale is float32 of \(3,\); must be float32 of \(20,\)"),
        ({"item_scale": SCALE.astype(np.float64)}, "item_scale is float64"),
        ({"item_scale": np.where(SCALE < 0.9, SCALE, np.float32(np.nan))}, "item_scale of row 18 is nan"),
        ({"provenance": {"loss": float("nan")}}, "provenance cannot be stored as JSON"),
        ({"provenance": {"loss": np.float32(1)}}, "provenance cannot be stored as JSON"),
    ],
)
def test_broken_embeddings_are_not_saved(make: Make, tmp_path: Path, broken: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEmbeddings, match=message):
        replace(make(), **broken).save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_items_are_no_embeddings(make: Make) -> None:
    with pytest.raises(InvalidEmbeddings, match="n_items is 0"):
        embeddings.check(replace(make(), items=Vocabulary.build([]), decoder=rows(0, 8)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": 7}, UnsupportedFormat, "format 7; this Sparrow reads 0: run the training again"),
        ({"n_items": 21}, CorruptSnapshot, r"item_id_starts\.npy holds 21 values; expected 22"),
        ({"n_items": "20"}, CorruptSnapshot, "n_items is '20'"),
        ({"n_dims": None}, CorruptSnapshot, "n_dims is None"),
        ({"item_scale": 1}, CorruptSnapshot, "item_scale is 1"),
        ({"values": "int4"}, CorruptSnapshot, "values is 'int4'; must be one of float32, int8"),
        ({"values": "int8"}, CorruptSnapshot, r"decoder_values\.npy holds float32; expected int8"),
        ({"query_width": 3}, CorruptSnapshot, r"query_factor\.npy is missing"),
        ({"query_width": True}, CorruptSnapshot, "query_width is True; must be null or a whole number from 1"),
        ({"item_scale": True}, CorruptSnapshot, r"item_scale\.npy is missing"),
        ({"encoder": "rows"}, CorruptSnapshot, r"encoder_row_starts\.npy is missing"),
        ({"provenance": 3}, CorruptSnapshot, "not the metadata of embeddings"),
        ({"n_dims": 3}, InvalidEmbeddings, "of 3"),
        ({"n_dims": 65_537}, CorruptSnapshot, r"decoder_dims\.npy holds uint16; expected uint32"),
    ],
)
def test_a_changed_header_is_refused(
    make: Make, tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    make().save(tmp_path)
    path = tmp_path / METADATA
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=message):
        SparseItemEmbeddings.load(tmp_path)


def test_runs_from_before_there_was_int8_are_of_float32(make: Make, tmp_path: Path) -> None:
    make().save(tmp_path)
    path = tmp_path / METADATA
    metadata = json.loads(path.read_text())
    del metadata["values"]
    path.write_text(json.dumps(metadata))
    assert SparseItemEmbeddings.load(tmp_path).decoder.steps is None


@pytest.mark.parametrize("raw", [None, b"", b"[]", b"\xff", b"[" * 100_000])
def test_metadata_that_cannot_be_read_are_refused(make: Make, tmp_path: Path, raw: bytes | None) -> None:
    make().save(tmp_path)
    path = tmp_path / METADATA
    path.unlink() if raw is None else path.write_bytes(raw)
    with pytest.raises(CorruptSnapshot, match="run the training again"):
        SparseItemEmbeddings.load(tmp_path)
