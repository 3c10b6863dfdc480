"""The Python that index/README.md shows runs as it stands, and answers what the oracle does."""

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import reference

README = Path(__file__).parents[2] / "index" / "README.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def run(block: str, folder: Path) -> dict[str, Any]:
    """The names that a block leaves behind."""
    program = folder / "shown.py"
    program.write_text(block)
    return runpy.run_path(str(program))


def test_search_of_a_snapshot(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(root.parent)
    block = blocks()[0].replace('"gte": 2000', '"gte": 1920')  # the small catalogue ends with 1935
    names = run(block, root.parent)
    opened, user, history, recent = (names[name] for name in ("opened", "user", "history", "recent"))
    assert opened.items.item_ids(history) == ["2", "21"]
    scores = opened.embeddings.item_scale * reference.score_rows(opened.embeddings.decoder, user)
    everything = np.arange(len(opened.items), dtype=np.int32)
    assert 0 < recent.count < len(everything)
    factors = np.ones(len(everything), dtype=np.float32)
    factors[recent.rows()] = 1.2
    for name, expected, within in (
        ("hits", scores, everything),
        ("filtered", scores, recent.rows()),
        ("boosted", scores * factors, everything),
    ):
        wanted = reference.select(expected, 10, history, within)
        assert names[name].items.tolist() == wanted.items.tolist() != []
    assert names["top"].items.tolist() == reference.select(scores, 20, history, None).items.tolist()
    assert (len(names["rows"]), len(names["lists"]), len(names["scores"])) == (3, 2, 2)
    assert capsys.readouterr().out.endswith(opened.searcher.kernel.level + "\n")


def test_search_of_vectors_of_ones_own(tmp_path: Path) -> None:
    names = run(blocks()[1], tmp_path)
    assert names["model"].items.item_ids(names["best"].items) == ["a", "c"]
    assert names["best"].scores.tolist() == [np.float32(0.6) + np.float32(0.8), np.float32(0.8)]
