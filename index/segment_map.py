"""The segments of a snapshot as a map: one HTML file that needs nothing else.

A disc is a segment, as large as its items are many, and near to segments of similar taste (`projection`); those of one
group have one colour. Its dots are its strongest items, from the middle outwards; an item of several segments is a dot
in each.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from index import inspector, projection
from index.snapshot import Snapshot
from index.types import Array

DOTS = 60
"""Items drawn of a segment."""
UNIT = 4.0
"""The disc of one item has this radius, that of n items sqrt(n) times as much."""
WIDTH = 0.6
"""Of a letter, beside its height."""
LINE = 15
"""Letters of a line of a title, if a word is not longer."""
TEMPLATE = Path(__file__).with_name("segment_map.html")


def html(opened: Snapshot, facts: Sequence[Mapping[str, Any]]) -> str:
    """The map of all segments; facts: as of `inspector.facts`."""
    radii = UNIT * np.sqrt(np.array([max(each["size"], 1) for each in facts], np.float64))
    places = projection.spread(projection.project(inspector.cosines(opened.segments)), radii)
    hues = _hues(facts, places)
    discs = [
        _disc(each, _dots(opened, number, places[number], radii[number]), places[number], radii[number], hues[number])
        for number, each in enumerate(facts)
    ]
    labels = [_label(each["title"], place, radius) for each, place, radius in zip(facts, places, radii, strict=True)]
    n_items = len(np.unique(opened.segments.items))
    told = f"{len(facts):,} segments of {n_items:,} of {len(opened.items):,} items"
    return (
        TEMPLATE.read_text(encoding="utf-8")
        .replace("{{version}}", escape(opened.version))
        .replace("{{told}}", told)
        .replace("{{view}}", json.dumps(_view(places, radii)))
        .replace("{{discs}}", "\n".join([*discs, *labels]))
    )


def _hues(facts: Sequence[Mapping[str, Any]], places: Array) -> Array:
    """Colours in degrees, of the direction in which a segment lies; one colour a group, where there are groups."""
    directions = places - places.mean(axis=0) if len(places) else places
    names = [each["group"] for each in facts]
    groups = {name: [own == name for own in names] for name in names if name is not None}
    middles = [
        directions[groups[name]].mean(axis=0) if name in groups else directions[i] for i, name in enumerate(names)
    ]
    middle = np.array(middles, np.float64).reshape(len(facts), 2)
    return np.degrees(np.arctan2(middle[:, 1], middle[:, 0])) % 360


def _view(places: Array, radii: Array) -> list[float]:
    """Left, top, width and height of what is to be seen."""
    if not len(places):
        return [0, 0, 100, 100]
    least, most = (places - radii[:, None]).min(axis=0) - 20, (places + radii[:, None]).max(axis=0) + 20
    return [round(float(value), 1) for value in (*least, *(most - least))]


def _dots(opened: Snapshot, number: int, place: Array, radius: float) -> list[str]:
    items = opened.segments.items_of(number)[:DOTS]
    shown = max(len(items), 1) / max(int(opened.segments.sizes[number]), 1)
    spots = projection.around(place, 0.93 * radius * np.sqrt(shown), len(items))
    named = zip(inspector.names(opened, items), spots.tolist(), strict=True)
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.5"><title>{escape(name)}</title></circle>' for name, (x, y) in named
    ]


def _disc(told: Mapping[str, Any], dots: Sequence[str], place: Array, radius: float, hue: float) -> str:
    x, y = place.tolist()
    near = told["nearest"]
    about = [
        told["title"],
        *([f"group: {told['group']}"] if told["group"] else []),
        f"{told['size']:,} items, coherence {told['coherence']:.3f}",
        f"nearest: {near['title']} (overlap {near['overlap']:.2f})" if near else "alone",
        *told["top_items"],
    ]
    return (
        f'<g class="segment" style="--hue:{hue:.0f}" data-id="{escape(told["segment_id"])}">'
        f'<circle class="disc" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{escape(chr(10).join(about))}</title>'
        f"</circle>{''.join(dots)}</g>"
    )


def _label(title: str, place: Array, radius: float) -> str:
    """A title in lines, as large as its disc is wide enough for."""
    x, y = place.tolist()
    lines = _lines(title)
    size = min(0.3 * radius, 1.8 * radius / (WIDTH * max(map(len, lines), default=1)))
    spans = (
        f'<tspan x="{x:.1f}" y="{y + (i - (len(lines) - 1) / 2 + 0.35) * size:.1f}">{escape(line)}</tspan>'
        for i, line in enumerate(lines)
    )
    return f'<text font-size="{size:.1f}">{"".join(spans)}</text>'


def _lines(title: str) -> list[str]:
    """A title cut between words into lines of about LINE letters."""
    lines: list[str] = []
    for word in title.split():
        if lines and len(lines[-1]) + len(word) < LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
