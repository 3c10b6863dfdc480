"""The golden snapshots: what this version of the format looks like on disk, and what it must answer, bit for bit.

Of format 0, which no Sparrow reads any more, only a manifest is kept: it must be refused with the way out.
"""

import json
import runpy
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from index import builder, embeddings, manifest, publication, snapshot
from index.errors import UnsupportedFormat

HERE = Path(__file__).parent
ROOT = HERE / f"format-{manifest.FORMAT}"
EXPECTED = json.loads((HERE / f"format-{manifest.FORMAT}.json").read_text())
MAKE = runpy.run_path(str(HERE / "make.py"))


@pytest.fixture(scope="module", params=EXPECTED)
def golden(request: pytest.FixtureRequest) -> snapshot.Snapshot:
    return snapshot.verify(ROOT, request.param)


def test_it_answers_as_on_the_day_it_was_made(golden: snapshot.Snapshot) -> None:
    assert MAKE["answers"](golden) == EXPECTED[golden.version]


def test_there_is_one_of_each_kind_and_one_is_served() -> None:
    kinds = [MAKE["kind_of"](snapshot.open_snapshot(ROOT, version)) for version in publication.versions(ROOT)]
    assert kinds == list(MAKE["KINDS"])
    assert list(EXPECTED) == list(publication.versions(ROOT))
    assert publication.current(ROOT) == publication.versions(ROOT)[0]


@pytest.mark.parametrize("version", EXPECTED)
def test_it_has_something_to_answer(version: str) -> None:
    assert all(EXPECTED[version]["texts"].values())
    assert all(EXPECTED[version]["filters"].values())
    for answer in EXPECTED[version]["histories"].values():
        scores = [float.fromhex(score) for score in answer["items"].values()]
        assert len(scores) == 10
        assert len(set(scores)) > 5


def test_the_same_content_has_the_same_hash_and_the_same_arrays(golden: snapshot.Snapshot, tmp_path: Path) -> None:
    content = MAKE["content"](MAKE["kind_of"](golden))
    version = builder.write(tmp_path, content, now=datetime.fromisoformat(golden.manifest.created_at))
    assert version == golden.version
    built = snapshot.read_manifest(tmp_path, version)
    assert built.content_hash == golden.manifest.content_hash
    manifests = [
        json.loads((each / manifest.FILE_NAME).read_bytes()) for each in (golden.directory, tmp_path / version)
    ]
    assert manifests[0].keys() == manifests[1].keys()
    # the bytes of the SQLite file depend on the version of SQLite, all others on nothing
    for name, info in golden.manifest.files.items():
        assert name == "texts.sqlite" or built.files[name] == info


def test_it_holds_what_went_in(golden: snapshot.Snapshot) -> None:
    content = MAKE["content"](MAKE["kind_of"](golden))
    assert golden.catalogue.properties(range(len(golden.items))) == list(content.properties)
    assert golden.segments.segments == content.segments.segments
    assert golden.segments.retired == content.segments.retired
    assert golden.embeddings.provenance == content.embeddings.provenance
    np.testing.assert_array_equal(golden.popularity, content.popularity)
    stored, given = (embeddings.to_arrays(each.embeddings) for each in (golden, content))
    assert stored.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(stored[name], array)
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
