"""The golden snapshot: what this version of the format looks like on disk, and what it must answer, bit for bit.

Of format 0, which no Sparrow reads any more, only a manifest is kept: it must be refused with the way out.
"""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from index import builder, manifest, publication, snapshot
from index.errors import UnsupportedFormat

HERE = Path(__file__).parent
ROOT = HERE / f"format-{manifest.FORMAT}"
EXPECTED = json.loads((HERE / f"format-{manifest.FORMAT}.json").read_text())
MAKE = runpy.run_path(str(HERE / "make.py"))


@pytest.fixture(scope="module")
def golden() -> snapshot.Snapshot:
    version = publication.current(ROOT)
    assert version is not None
    return snapshot.verify(ROOT, version)


def test_it_answers_as_on_the_day_it_was_made(golden: snapshot.Snapshot) -> None:
    assert MAKE["answers"](golden) == EXPECTED


def test_it_has_something_to_answer() -> None:
    assert all(EXPECTED["texts"].values())
    assert all(EXPECTED["filters"].values())
    for answer in EXPECTED["histories"].values():
        scores = [float.fromhex(score) for score in answer["items"].values()]
        assert len(scores) == 10
        assert len(set(scores)) > 5


def test_the_same_content_has_the_same_hash_and_the_same_arrays(golden: snapshot.Snapshot, tmp_path: Path) -> None:
    version = builder.write(tmp_path, MAKE["content"](), now=MAKE["BUILT_AT"])
    assert version == golden.version
    built = snapshot.read_manifest(tmp_path, version)
    assert built.content_hash == golden.manifest.content_hash
    # the bytes of the SQLite file depend on the version of SQLite, all others on nothing
    for name, info in golden.manifest.files.items():
        assert name == "texts.sqlite" or built.files[name] == info


def test_it_holds_what_went_in(golden: snapshot.Snapshot) -> None:
    content = MAKE["content"]()
    assert golden.catalogue.properties(range(len(golden.items))) == list(content.properties)
    assert golden.segments.segments == content.segments.segments
    assert golden.segments.retired == content.segments.retired
    assert golden.embeddings.provenance == content.embeddings.provenance
    np.testing.assert_array_equal(golden.popularity, content.popularity)
    np.testing.assert_array_equal(golden.embeddings.decoder.values, content.embeddings.decoder.values)
    with pytest.raises(ValueError, match="read-only"):
        golden.embeddings.decoder.values[0] = 1


def test_format_0_is_refused_with_the_way_out() -> None:
    root = HERE / "format-0"
    (version,) = publication.versions(root)
    for use in (snapshot.open_snapshot, snapshot.verify, snapshot.verify_hashes):
        with pytest.raises(UnsupportedFormat) as refused:
            use(root, version)
        assert str(refused.value) == (
            f"{root / version / 'manifest.json'}: format 0; this Sparrow reads 1: "
            "rebuild with 'sparrow-train publish RUN', or open it with the version of Sparrow that wrote it"
        )
