"""What the command line says about a snapshot: one JSON document, and the same as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.pretty import Pretty
from rich.table import Table
from rich.text import Text

from index.manifest import Manifest
from index.reference import Hits
from index.snapshot import Snapshot
from index.types import JSON

SHOWN_SEGMENTS = 20


def inspection(opened: Snapshot) -> dict[str, Any]:
    """The manifest, with sizes put in proportion, and the segments."""
    manifest = opened.manifest
    total = sum(info.bytes for info in manifest.files.values())
    decoder = sum(info.bytes for name, info in manifest.files.items() if name.startswith("decoder_"))
    return {
        **asdict(manifest),
        "total_bytes": total,
        "bytes_per_item": total / manifest.n_items,
        "decoder_bytes_per_item": decoder / manifest.n_items,
        "decoder_bytes_per_nonzero": decoder / max(manifest.n_nonzeros, 1),
        "properties": list(opened.catalogue.keys),
        "segments": opened.segments.to_json()["segments"],
    }


def print_inspection(console: Console, document: Mapping[str, Any]) -> None:
    """Show what `inspection` found."""
    facts = Table("what", "value", title=str(document["version"]), title_justify="left")
    names = ("created_at", "format", "content_hash", "n_items", "n_dims", "n_nonzeros", "n_segments", "encoder")
    for name in (*names, "item_scale", "dims_are", "query_dims", "total_bytes"):
        _add(facts, name, str(document[name]))
    for name in ("bytes_per_item", "decoder_bytes_per_item", "decoder_bytes_per_nonzero"):
        _add(facts, name, f"{document[name]:.1f}")
    _add(facts, "properties", ", ".join(document["properties"]))
    console.print(facts)
    _print_files(console, document)
    _print_segments(console, document["segments"])
    console.print("provenance:", Pretty(document["provenance"]))


def summary(manifest: Manifest) -> dict[str, JSON]:
    """One line of the list of versions."""
    return {
        "version": manifest.version,
        "n_items": manifest.n_items,
        "n_dims": manifest.n_dims,
        "n_segments": manifest.n_segments,
        "total_bytes": sum(info.bytes for info in manifest.files.values()),
    }


def print_versions(console: Console, versions: Sequence[Mapping[str, JSON]]) -> None:
    """Show summaries, with what is current and what is pinned."""
    table = Table("version", "items", "dims", "segments", "bytes", "state")
    for line in versions:
        counts = [str(line.get(name, "")) for name in ("n_items", "n_dims", "n_segments", "total_bytes")]
        states = [name for name in ("current", "pinned") if line[name]]
        _add(table, str(line["version"]), *counts, str(line.get("problem") or ", ".join(states)))
    console.print(table)


def found_items(opened: Snapshot, hits: Hits) -> list[dict[str, JSON]]:
    """Hits as items: id, score and title or name (None where the catalogue has neither)."""
    ids = opened.items.item_ids(hits.items)
    titles = [known.get("title") or known.get("name") for known in opened.catalogue.properties(hits.items)]
    scores = hits.scores.tolist()
    return [
        {"item_id": item_id, "score": score, "title": title}
        for item_id, score, title in zip(ids, scores, titles, strict=True)
    ]


def print_items(console: Console, items: Sequence[Mapping[str, JSON]]) -> None:
    """Show found items, best first."""
    table = Table("#", "item", "score", "title")
    for number, item in enumerate(items, start=1):
        _add(table, str(number), str(item["item_id"]), f"{item['score']:.4f}", str(item["title"] or ""))
    console.print(table)


def _add(table: Table, *cells: str) -> None:
    # as text, since a title may hold what rich takes for markup; folded, since half a hash is of no use
    table.add_row(*(Text(cell, overflow="fold") for cell in cells))


def _print_files(console: Console, document: Mapping[str, Any]) -> None:
    table = Table("file", "bytes", "bytes per item")
    for name, info in document["files"].items():
        _add(table, name, str(info["bytes"]), f"{info['bytes'] / document['n_items']:.1f}")
    console.print(table)


def _print_segments(console: Console, segments: Sequence[Mapping[str, Any]]) -> None:
    if not segments:
        console.print("no segments")
        return
    table = Table("segment", "title", "items", "terms")
    for segment in segments[:SHOWN_SEGMENTS]:
        _add(table, segment["segment_id"], segment["title"], str(segment["size"]), ", ".join(segment["terms"]))
    console.print(table)
    if len(segments) > SHOWN_SEGMENTS:
        console.print(f"and {len(segments) - SHOWN_SEGMENTS} more (--json lists all)")
