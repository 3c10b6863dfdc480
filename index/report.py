"""What the command line says about a snapshot: one JSON document, and the same as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.pretty import Pretty
from rich.table import Table
from rich.text import Text

from index import columns, sizes
from index._kernel import levels
from index.manifest import Manifest
from index.reference import Hits
from index.sizes import Sizes
from index.snapshot import Snapshot
from index.types import JSON

SHOWN_SEGMENTS = 20


def inspection(opened: Snapshot, n_items: int | None = None) -> dict[str, Any]:
    """The manifest, with sizes put in proportion, the segments, what n_items would take, and this CPU's levels."""
    expected = None if n_items is None else _in_proportion(sizes.expected(opened, n_items))
    return {
        **asdict(opened.manifest),
        "sizes": _in_proportion(sizes.measured(opened.manifest)),
        "expected_sizes": expected,
        "level": opened.searcher.kernel.level,
        "levels": levels(),
        "properties": list(opened.catalogue.keys),
        **columns.to_json(opened.filters.columns),
        "segments": opened.segments.to_json()["segments"],
    }


def print_inspection(console: Console, document: Mapping[str, Any]) -> None:
    """Show what `inspection` found."""
    facts = Table("what", "value", title=str(document["version"]), title_justify="left")
    names = ("created_at", "format", "content_hash", "n_items", "n_dims", "n_nonzeros", "n_segments", "encoder")
    for name in (*names, "values", "item_scale", "dims_are", "query_dims", "query_width"):
        _add(facts, name, _shown(document[name]))
    _add(facts, "searched with", f"{document['level']} (this CPU has {', '.join(document['levels'])})")
    console.print(facts)
    _print_properties(console, document)
    _print_sizes(console, document["sizes"], "sizes")
    if document["expected_sizes"]:
        _print_sizes(console, document["expected_sizes"], "expected sizes")
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
        counts = [_shown(line.get(name, "")) for name in ("n_items", "n_dims", "n_segments", "total_bytes")]
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


def _shown(value: JSON) -> str:
    return f"{value:,}" if type(value) is int else str(value)


def _add(table: Table, *cells: str) -> None:
    # as text, since a title may hold what rich takes for markup; folded, since half a hash is of no use
    table.add_row(*(Text(cell, overflow="fold") for cell in cells))


def _in_proportion(found: Sizes) -> dict[str, Any]:
    """Parts in whole bytes; those that a search reads also by non-zero."""
    per_nonzero = {part: found.parts[part] / max(found.n_nonzeros, 1) for part in sizes.SEARCHED}
    return {
        "n_items": found.n_items,
        "n_nonzeros": round(found.n_nonzeros),
        "disk_bytes": round(found.disk_bytes),
        "memory_bytes": round(found.memory_bytes),
        "searched_bytes_per_nonzero": found.searched_bytes_per_nonzero,
        "parts": {
            part: {
                "bytes": round(size),
                "per_item": size / found.n_items,
                **({"per_nonzero": per_nonzero[part]} if part in per_nonzero else {}),
            }
            for part, size in found.parts.items()
        },
    }


def _print_sizes(console: Console, found: Mapping[str, Any], what: str) -> None:
    title = f"{what} of {found['n_items']:,} items with {found['n_nonzeros']:,} non-zeros"
    table = Table("part", "bytes", "per item", "per non-zero", title=title, title_justify="left")
    for part, size in found["parts"].items():
        per_nonzero = f"{size['per_nonzero']:.3f}" if "per_nonzero" in size else ""
        _add(table, part, f"{size['bytes']:,}", f"{size['per_item']:.2f}", per_nonzero)
    total = found["disk_bytes"] / found["n_items"]
    _add(table, "all, on disk", f"{found['disk_bytes']:,}", f"{total:.2f}", "")
    _add(table, "in memory", f"{found['memory_bytes']:,}", f"{found['memory_bytes'] / found['n_items']:.2f}", "")
    _add(table, "what a search reads", "", "", f"{found['searched_bytes_per_nonzero']:.3f}")
    console.print(table)


def _print_properties(console: Console, document: Mapping[str, Any]) -> None:
    table = Table("property", "to filter by", "items", "values")
    for each in document["columns"]:
        kind = f"several {each['kind']}s" if each["multiple"] else each["kind"]
        _add(table, each["key"], kind, f"{each['n_present']:,}", f"{each['n_values']:,}")
    for key, reason in document["unfilterable"].items():
        _add(table, key, f"no: {reason}", "", "")
    if table.row_count:
        console.print(table)


def _print_files(console: Console, document: Mapping[str, Any]) -> None:
    table = Table("file", "bytes", "bytes per item")
    for name, info in document["files"].items():
        _add(table, name, _shown(info["bytes"]), f"{info['bytes'] / document['n_items']:.1f}")
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
