"""Snapshots: what is written is what is opened, and nothing else is accepted."""

import json
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import builder, catalogue, embeddings, files, manifest, publication, snapshot, sparse
from index.builder import SnapshotContent
from index.errors import CorruptSnapshot, InvalidEmbeddings, UnknownVersion, UnsupportedFormat
from index.segments import Segment
from index.snapshot import open_snapshot, verify, verify_hashes

NOON = datetime(2026, 11, 21, 12, 0, 0, 999, tzinfo=UTC)


def test_what_goes_in_comes_out(tmp_path: Path, content: SnapshotContent) -> None:
    version = builder.write(tmp_path, content, now=NOON)
    opened = open_snapshot(tmp_path, version)
    about = opened.manifest
    assert version == opened.version == about.version == f"20261121T120000Z-{about.content_hash[:8]}"
    assert about.created_at == "2026-11-21T12:00:00Z"
    assert (about.format, about.n_items, about.n_dims, about.n_segments) == (1, 36, 12, 3)
    assert about.n_nonzeros == len(content.embeddings.decoder.values)
    assert about.provenance == content.embeddings.provenance
    stored, original = embeddings.to_arrays(opened.embeddings), embeddings.to_arrays(content.embeddings)
    for name, array in original.items():
        np.testing.assert_array_equal(stored[name], array)
        assert not stored[name].flags.writeable
    assert opened.segments.segments == content.segments.segments
    assert opened.segments.retired == content.segments.retired
    for number in range(3):
        np.testing.assert_array_equal(opened.segments.items_of(number), content.segments.items_of(number))
        np.testing.assert_array_equal(opened.segments.rows.dense_row(number), content.segments.rows.dense_row(number))
    popularity = content.popularity.tolist()
    assert opened.popularity.tolist() == popularity
    assert opened.popular.tolist() == sorted(range(36), key=lambda row: (-popularity[row], row))
    assert opened.catalogue.properties(range(36)) == list(content.properties)


def test_no_segments_no_scale_no_encoder(tmp_path: Path, content: SnapshotContent) -> None:
    nothing = replace(
        content.segments,
        segments=(),
        starts=content.segments.starts[:1],
        items=content.segments.items[:0],
        strengths=content.segments.strengths[:0],
        rows=content.segments.rows.take(np.empty(0, dtype=np.int32)),
    )
    plain = replace(content.embeddings, item_scale=None, encoder="tied", query_dims=None)
    version = builder.build(
        tmp_path, embeddings=plain, properties=[{}] * 36, popularity=content.popularity, segments=nothing
    )
    opened = verify(tmp_path, version)
    assert len(opened.segments) == 0
    assert opened.segments.retired == {"sold", "sgone"}
    assert opened.embeddings.encoder == "tied"
    assert opened.embeddings.item_scale is None
    assert not (opened.directory / "item_scale.npy").exists()


def test_equal_content_has_an_equal_hash_and_is_never_replaced(tmp_path: Path, content: SnapshotContent) -> None:
    first, second = (builder.write(tmp_path, content, now=NOON) for _ in range(2))
    assert second == first.replace("T120000Z", "T120001Z")
    assert publication.versions(tmp_path) == (first, second)
    assert verify(tmp_path, first).manifest.content_hash == verify(tmp_path, second).manifest.content_hash


def changed_contents(content: SnapshotContent) -> dict[str, SnapshotContent]:
    model = content.embeddings
    other = model.decoder.values.copy()
    other[3] += 1
    retitled = (replace(content.segments.segments[0], title="Other"), *content.segments.segments[1:])
    return {
        "value": replace(content, embeddings=replace(model, decoder=replace(model.decoder, values=other))),
        "query_dims": replace(content, embeddings=replace(model, query_dims=6)),
        "query_factor": replace(content, embeddings=replace(model, query_factor=np.eye(12, dtype=np.float32))),
        "int8": replace(content, embeddings=replace(model, decoder=sparse.quantised(model.decoder))),
        "encoder": replace(content, embeddings=replace(model, encoder="tied")),
        "property": replace(content, properties=[{"title": "Other"}, *content.properties[1:]]),
        "popularity": replace(content, popularity=content.popularity + 1),
        "title": replace(content, segments=replace(content.segments, segments=retitled)),
        "retired": replace(content, segments=replace(content.segments, retired=frozenset())),
    }


def test_other_content_has_another_hash_and_other_provenance_has_not(tmp_path: Path, content: SnapshotContent) -> None:
    def hash_of(given: SnapshotContent) -> str:
        return open_snapshot(tmp_path, builder.write(tmp_path, given)).manifest.content_hash

    hashes = {name: hash_of(changed) for name, changed in changed_contents(content).items()}
    assert len({*hashes.values(), hash_of(content)}) == len(hashes) + 1
    elsewhere = replace(content, embeddings=replace(content.embeddings, provenance={"seconds": 9}))
    assert hash_of(elsewhere) == hash_of(content)


def test_a_failed_write_leaves_nothing(tmp_path: Path, content: SnapshotContent) -> None:
    unstorable: Any = [{"x": {1, 2}}] * 36
    with pytest.raises(InvalidEmbeddings, match="item row 0"):
        builder.write(tmp_path, replace(content, properties=unstorable))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "version", ["", ".", "..", "../x", "/etc", "x", "20261121T081200Z-3F9A2C1D", "CURRENT", "a\0b"]
)
def test_names_that_are_not_versions_are_refused(root: Path, version: str) -> None:
    for use in (open_snapshot, verify, verify_hashes, publication.publish):
        with pytest.raises(UnknownVersion, match="is not the name of a version"):
            use(root, version)


def test_versions_that_are_not_stored_are_unknown(root: Path) -> None:
    for use in (open_snapshot, verify, verify_hashes, publication.publish, publication.rollback):
        with pytest.raises(UnknownVersion, match=r"20200101T000000Z-00000000 is not stored in .*'sparrow-index list'"):
            use(root, "20200101T000000Z-00000000")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, golden: dict[str, Any]) -> Path:
    """The directory of one good snapshot; tests change copies of it, or put back what they change."""
    root = tmp_path_factory.mktemp("stored")
    return root / builder.write(root, golden["content"]())


def names_of(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def open_and_verify(directory: Path) -> None:
    open_snapshot(directory.parent, directory.name)
    verify(directory.parent, directory.name)


def refuse(directory: Path) -> Exception:
    """Open and verify; at least one refuses, and in the way it should."""
    with pytest.raises((CorruptSnapshot, UnsupportedFormat)) as refused:
        open_and_verify(directory)
    assert directory.name in str(refused.value)
    return refused.value


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_cut_file_is_refused_at_opening(stored: Path, data: st.DataObject) -> None:
    path = stored / data.draw(st.sampled_from(names_of(stored)))
    raw = path.read_bytes()
    try:
        path.write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
        if path.name == manifest.FILE_NAME and path.read_bytes() == raw.rstrip(b"\n"):
            return
        with pytest.raises((CorruptSnapshot, UnsupportedFormat), match=path.name):
            open_snapshot(stored.parent, stored.name)
    finally:
        path.write_bytes(raw)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_is_refused(stored: Path, data: st.DataObject) -> None:
    path = stored / data.draw(st.sampled_from(names_of(stored)))
    raw = path.read_bytes()
    flipped = bytearray(raw)
    flipped[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    if path.name == manifest.FILE_NAME and same_json(raw, bytes(flipped)):
        return  # another white space between the same values
    try:
        path.write_bytes(flipped)
        refuse(stored)
        with pytest.raises((CorruptSnapshot, UnsupportedFormat), match=path.name):  # the hashes alone tell
            verify_hashes(stored.parent, stored.name)
    finally:
        path.write_bytes(raw)


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def test_swapped_missing_and_strange_files_are_refused(stored: Path, tmp_path: Path) -> None:
    names = names_of(stored)
    for number, name in enumerate(names):
        directory = tmp_path / str(number) / stored.name
        shutil.copytree(stored, directory)
        other = names[(number + 1) % len(names)]
        (directory / name).rename(directory / "swap")
        (directory / other).rename(directory / name)
        (directory / "swap").rename(directory / other)
        refuse(directory)
        (directory / name).unlink()
        refuse(directory)
    directory = tmp_path / "more" / stored.name
    shutil.copytree(stored, directory)
    (directory / "more").write_bytes(b"")
    assert "does not belong" in str(refuse(directory))
    (directory / "more").unlink()
    verify(directory.parent, directory.name)
    (directory / "popular.npy").unlink()
    (directory / "popular.npy").symlink_to(stored / "popular.npy")
    assert "popular.npy is missing" in str(refuse(directory))


def test_a_renamed_snapshot_is_refused(stored: Path, tmp_path: Path) -> None:
    directory = tmp_path / "20260101T000000Z-00000000"
    shutil.copytree(stored, directory)
    assert f"belongs to version {stored.name}" in str(refuse(directory))


def resign(directory: Path, **changes: Any) -> None:
    """Make the manifest vouch for the files as they are: what a faulty builder would leave."""
    path = directory / manifest.FILE_NAME
    described = files.describe(directory)
    del described[manifest.FILE_NAME]
    about = manifest.from_bytes(path.read_bytes(), "")
    path.write_bytes(manifest.to_bytes(replace(about, files=described, **changes)))


def put(directory: Path, name: str, place: int, value: Any) -> None:
    array = np.load(directory / f"{name}.npy")
    array[place] = value
    np.save(directory / f"{name}.npy", array)


def put_json(directory: Path, **changes: Any) -> None:
    path = directory / snapshot.SEGMENTS
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def described(content: SnapshotContent, **changes: Any) -> list[dict[str, Any]]:
    first, *others = content.segments.segments
    return [asdict(segment) for segment in (replace(first, **changes), *others)]


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("decoder_dims", 0, 12, "decoder row 0 holds dim 12 of 12"),
        ("decoder_values", 5, np.nan, "decoder row . holds the value nan"),
        ("decoder_row_starts", 0, 1, "must start at 0"),
        ("decoder_row_starts", 1, -1, "decoder row_starts steps back"),
        ("decoder_row_starts", -1, -1, "must start at 0"),
        ("decoder_row_starts", -1, 7, r"decoder_dims\.npy holds .* values; expected 7"),
        ("decoder_row_starts", -1, 1 << 62, r"decoder_dims\.npy holds .* values; expected"),
        ("encoder_values", 0, np.inf, "encoder row 0 holds the value inf"),
        ("item_scale", 2, np.nan, "item_scale of row 2 is nan"),
        ("item_id_bytes", 0, 0xFF, "item ids: .*utf-8"),
        ("item_id_bytes", 0, ord("1"), "item ids: id '1' is given twice"),
        ("item_id_starts", 1, -5, "item_id_starts steps back"),
        ("item_sorted_hashes", 0, 1, "item ids: sorted_hashes does not belong"),
        ("item_hash_rows", 0, 35, "item ids: hash_rows does not belong"),
        ("popularity", 3, -1, "popularity of item row 3 is -1.0"),
        ("popularity", 3, 99, "popular is not the order of popularity"),
        ("popular", 0, 1, "popular is not the order of popularity"),
        ("decoder_values", 5, 7, "postings_lines is not what building it from the decoder gives"),
        ("postings_lines", 0, 35, "postings_lines is not what building it"),
        ("postings_lines", 0, 0xFFFF, "postings_lines is not what building it"),
        ("postings_lines", 16, 0x7C00, "postings_lines is not what building it"),
        ("postings_list_starts", 1, 99, r"postings_list_starts\.npy breaks a rule: its values must ascend from 0"),
        ("postings_list_starts", 0, 1, r"postings_list_starts\.npy breaks a rule: its values must ascend from 0"),
        ("postings_list_starts", 1, 0, "postings_list_starts is not what building it"),
        ("postings_list_starts", -1, 0xFFFF_FFFF, r"postings_lines\.npy holds .* values; expected 137438953440"),
        ("postings_block_units", 0, 0, r"postings_block_units\.npy breaks a rule: its values must be finite, above 0"),
        ("postings_block_units", 0, 0.5, "postings_block_units is not what building it"),
        ("postings_block_norms", 0, np.nan, r"postings_block_norms\.npy breaks a rule: its values must be finite"),
        ("postings_block_norms", 0, 1e9, "postings_block_norms is not what building it"),
        ("postings_block_lengths", 0, 13, r"postings_block_lengths\.npy breaks a rule: its values must be at most 12"),
        ("postings_block_lengths", 0, 1, "postings_block_lengths is not what building it"),
        ("property_starts", 1, 1 << 40, "property_starts steps back"),
        ("property_starts", -1, -1, "must start at 0"),
        ("property_starts", -1, 1 << 40, r"property_bytes\.npy holds .* values; expected"),
        ("property_starts", 1, 3, r"property_bytes\.npy: "),
        ("property_bytes", 0, ord("["), r"property_bytes\.npy: "),
        ("segment_starts", 1, 99, "segment starts steps back"),
        ("segment_items", 0, 36, r"segment 's0' has items outside 0\.\.35"),
        ("segment_items", 1, 0, "segment 's0' has an item twice"),
        ("segment_strengths", 1, 7, "segment 's0' has strengths that"),
        ("segment_centroids_values", 0, np.nan, "segment centroids row 0 holds the value nan"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(
    stored: Path, tmp_path: Path, name: str, place: int, value: Any, message: str
) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    put(directory, name, place, value)
    resign(directory)
    with pytest.raises(CorruptSnapshot, match=message):
        verify(tmp_path, stored.name)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("decoder_values", 3, -128, "decoder row 1 holds the value -128; must be from -127"),
        ("decoder_values", 3, 5, "postings_lines is not what building it from the decoder gives"),
        ("decoder_steps", 2, np.nan, "decoder row 2 has the step nan; must be finite and above 0"),
        ("decoder_steps", 2, np.inf, "decoder row 2 has the step inf"),
        ("decoder_steps", 2, 0, "decoder row 2 has the step 0.0"),
        ("decoder_steps", 2, -1, "decoder row 2 has the step -1.0"),
        ("decoder_steps", 2, 7, "postings_.* is not what building it from the decoder gives"),
    ],
)
def test_broken_int8_is_refused(
    tmp_path: Path, golden: dict[str, Any], name: str, place: int, value: Any, message: str
) -> None:
    directory = tmp_path / builder.write(tmp_path, golden["content"]("int8"))
    open_and_verify(directory)
    put(directory, name, place, value)
    resign(directory)
    with pytest.raises(CorruptSnapshot, match=message):
        verify(tmp_path, directory.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": "int8"}, r"decoder_values\.npy holds float32; expected int8"),
        ({"values": "float16"}, "values is 'float16'; must be one of float32, int8"),
        ({"n_nonzeros": 1}, "of 1 non-zeros"),
        ({"n_items": 35}, r"item_id_starts\.npy holds 37 values; expected 36"),
        ({"n_items": True}, "n_items is True"),
        ({"n_dims": 70_000}, "expected uint32"),
        ({"n_segments": 2}, r"segment_starts\.npy holds 4 values; expected 3"),
        ({"n_segments": None}, "n_segments is None; must be a whole number from 0"),
        ({"n_segments": -1}, "n_segments is -1"),
        ({"n_nonzeros": "9"}, "n_nonzeros is '9'"),
        ({"encoder": "hex"}, "encoder is 'hex'"),
        ({"item_scale": "no"}, "item_scale is 'no'"),
        ({"content_hash": "0" * 64}, "content_hash is not that of the content"),
        ({"query_width": 3}, r"query_factor\.npy is missing"),
        ({"query_dims": 2}, "content_hash is not that of the content"),
        ({"version": "20260101T000000Z-00000000"}, "belongs to version 20260101T000000Z-00000000"),
    ],
)
def test_manifests_that_contradict_the_files_are_refused(
    stored: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    resign(directory, **changes)
    with pytest.raises(CorruptSnapshot, match=message):
        verify(tmp_path, stored.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 4}, "segment 's0' states 4 items but has 5"),
        ({"size": float("inf")}, r"segments\.json cannot be read: OverflowError"),
        ({"segment_id": []}, "ids of segments must be texts"),
        ({"segment_id": "s1"}, "segment ids must be unique"),
        ({"segment_id": "sold"}, "a retired id must not be used again"),
        ({"dims": ((12, 1),)}, r"segment 's0' has dims other than \(0\.\.11"),
        ({"dims": ((1, 0),)}, "segment 's0' has dims other than"),
        ({"dims": ((1,),)}, r"segments\.json cannot be read"),
    ],
)
def test_segments_that_contradict_the_arrays_are_refused(
    stored: Path, tmp_path: Path, content: SnapshotContent, changes: dict[str, Any], message: str
) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    put_json(directory, segments=described(content, **changes))
    resign(directory)
    with pytest.raises(CorruptSnapshot, match=message):
        verify(tmp_path, stored.name)


@pytest.mark.parametrize(
    "document",
    [
        *("", "[]", "{}", '{"segments": 3}', "[" * 100_000, '{"segments": [], "retired": []}'),
        '{"segments": [], "retired": [], "groups": [{"group_id": "g", "title": []}]}',
        '{"segments": [], "retired": [], "groups": 3}',
        '{"segments": [], "retired": [], "retired_groups": [1]}',
    ],
)
def test_segments_that_cannot_be_read_are_refused(stored: Path, tmp_path: Path, document: str) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    (directory / snapshot.SEGMENTS).write_text(document)
    resign(directory)
    with pytest.raises(CorruptSnapshot, match=r"segments\.json"):
        open_snapshot(tmp_path, stored.name)


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ("", CorruptSnapshot, "is not JSON"),
        ("[]", CorruptSnapshot, "is not a JSON object"),
        ('{"format": NaN}', CorruptSnapshot, "NaN is not a JSON value"),
        ("[" * 100_000, CorruptSnapshot, "is not JSON"),
        ('{"format": ' + "9" * 5000 + "}", CorruptSnapshot, "is not JSON"),
        ("{}", UnsupportedFormat, "format None; this Sparrow reads 1: rebuild with 'sparrow-train publish RUN'"),
        (
            '{"format": 3}',
            UnsupportedFormat,
            "format 3; this Sparrow reads 1: rebuild with 'sparrow-train publish RUN'",
        ),
        ('{"format": 1}', CorruptSnapshot, "does not match its checksum"),
    ],
)
def test_what_is_not_a_manifest_is_refused(
    stored: Path, tmp_path: Path, document: str, error: type[Exception], message: str
) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    (directory / manifest.FILE_NAME).write_text(document)
    with pytest.raises(error, match=message):
        open_snapshot(tmp_path, stored.name)


def test_another_format_names_the_way_out_even_when_all_else_fits(stored: Path, tmp_path: Path) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    resign(directory, format=3)
    with pytest.raises(UnsupportedFormat, match="format 3; this Sparrow reads 1: rebuild"):
        open_snapshot(tmp_path, stored.name)


def test_verify_reports_every_byte(root: Path) -> None:
    version = publication.current(root)
    assert version is not None
    seen: list[int] = []
    opened = verify(root, version, seen.append)
    assert sum(seen) == sum(info.bytes for info in opened.manifest.files.values())
    assert verify_hashes(root, version) == opened.manifest


def test_a_version_that_is_pruned_while_it_is_read_is_gone_not_corrupt(root: Path) -> None:
    version = publication.current(root)
    assert version is not None
    with pytest.raises(UnknownVersion, match=f"{version} was removed while it was read"):
        verify(root, version, lambda _: shutil.rmtree(root / version, ignore_errors=True))


def test_a_file_that_cannot_be_read_is_named(stored: Path, tmp_path: Path) -> None:
    directory = tmp_path / stored.name
    shutil.copytree(stored, directory)
    (directory / manifest.FILE_NAME).unlink()
    with pytest.raises(CorruptSnapshot, match=r"manifest\.json cannot be read: No such file"):
        open_snapshot(tmp_path, stored.name)
    (directory / manifest.FILE_NAME).mkdir()
    with pytest.raises(CorruptSnapshot, match=r"manifest\.json cannot be read: Is a directory"):
        open_snapshot(tmp_path, stored.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"properties": [{}] * 35}, "properties are given for 35 items, of 36"),
        ({"popularity": np.ones(35, dtype=np.float32)}, r"popularity is float32 of \(35,\)"),
        ({"popularity": np.ones(36)}, "popularity is float64"),
        ({"popularity": np.full(36, np.nan, dtype=np.float32)}, "popularity of item row 0 is nan"),
    ],
)
def test_the_builder_refuses_parts_that_do_not_fit(
    tmp_path: Path, content: SnapshotContent, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidEmbeddings, match=message):
        builder.build(tmp_path / "new", **(vars(content) | changes))
    assert not (tmp_path / "new").exists()


def test_the_builder_refuses_segments_of_other_dims(tmp_path: Path, content: SnapshotContent) -> None:
    wider = replace(content.segments, rows=replace(content.segments.rows, n_dims=13))
    with pytest.raises(InvalidEmbeddings, match="segment centroids are 3 x 13; must be 3 x 12"):
        builder.build(tmp_path, **(vars(content) | {"segments": wider}))
    more = replace(content.segments, segments=(*content.segments.segments, Segment("s9", "S9", (), (), 0)))
    with pytest.raises(InvalidEmbeddings, match="segment centroids are 3 x 12; must be 4 x 12"):
        builder.build(tmp_path, **(vars(content) | {"segments": more}))


def test_the_catalogue_is_closed_with_its_last_user(root: Path) -> None:
    version = publication.current(root)
    assert version is not None
    opened = open_snapshot(root, version)
    connection = opened.catalogue.connection
    assert isinstance(opened.catalogue, catalogue.Catalogue)
    del opened
    with pytest.raises(Exception, match="closed database"):
        connection.execute("SELECT 1")
