"""What a judge of titles is given: repeatable, the right title among four, and none of the items that it names."""

import json
import sys
from pathlib import Path

import pytest

from index import builder, publication, segments, snapshot
from index.snapshot import Snapshot
from training import forms, judging, release, run, terms
from training.__main__ import main
from training.errors import DataError
from training.judging import CHOICES, Score


@pytest.fixture(scope="module")
def root(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("snapshots")
    release.publish(fitted, directory, lambda _: None)
    return directory


@pytest.fixture(scope="module")
def opened(root: Path) -> Snapshot:
    version = publication.current(root)
    assert version is not None
    return snapshot.open_snapshot(root, version)


def test_a_trial_has_the_own_title_the_nearest_segment_and_two_others(opened: Snapshot) -> None:
    known = opened.segments
    titles = {each.segment_id: each.title for each in known.segments}
    cases = judging.draw(opened, 10_000, seed=7)

    assert {case.segment_id for case in cases} == set(titles)
    assert {case.right for case in cases} == set(CHOICES)
    for case in cases:
        number = known.number(case.segment_id)
        assert number is not None
        assert case.choices[CHOICES.index(case.right)] == case.title == titles[case.segment_id]
        assert len(set(case.choices)) == len(CHOICES)
        nearest = max(
            (other for other in range(len(known)) if other != number),
            key=lambda other: float(opened.segment_cosines[number, other]),
        )
        assert known.segments[nearest].title in case.choices


def test_items_that_a_title_names_are_not_shown(opened: Snapshot) -> None:
    cases = judging.draw(opened, 10_000, seed=7)
    named = [case for case in cases if case.title.startswith("More like")]

    assert named
    assert all(len(case.top) == judging.TOP for case in cases)
    for case in named:
        assert not any(
            forms.shortened(terms.SERIES.sub("", text.split(" | ")[0]).strip()).casefold() in case.title.casefold()
            for text in case.top
        )


def test_the_same_seed_draws_the_same(opened: Snapshot) -> None:
    assert judging.draw(opened, 5, seed=3) == judging.draw(opened, 5, seed=3)
    assert judging.draw(opened, 5, seed=3) != judging.draw(opened, 5, seed=4)


def test_the_blind_test_does_not_hold_the_key(opened: Snapshot) -> None:
    cases = judging.draw(opened, 5, seed=1)

    text = judging.blind(cases)

    assert all(title in text for case in cases for title in case.choices)
    assert not any(case.segment_id in text for case in cases)
    assert list(judging.key(cases)) == ["1", "2", "3", "4", "5"]


def test_answers_are_scored() -> None:
    assert judging.score("1 B\n\n2. a\n", {"1": "B", "2": "C", "3": "D"}) == Score(1, 3)


@pytest.mark.parametrize("answers", ["1 E", "7 A", "B", "1 A\n1 B", "1"])
def test_what_is_no_answer_is_refused(answers: str) -> None:
    with pytest.raises(DataError, match="is no answer such as"):
        judging.score(answers, {"1": "B"})


def test_too_few_segments_are_refused(fitted: Path, tmp_path: Path) -> None:
    material = run.load(fitted)
    none = segments.assemble([], segments.carry_over([], material.embeddings, None), [], [], material.embeddings.n_dims)
    version = builder.build(
        tmp_path,
        embeddings=material.embeddings,
        properties=material.properties,
        popularity=material.popularity,
        segments=none,
    )
    with pytest.raises(DataError, match="has 0 segments; a blind test needs 4"):
        judging.draw(snapshot.open_snapshot(tmp_path, version), 40, seed=7)


def test_the_command_writes_and_scores(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def judge(*arguments: object) -> tuple[int | str | None, str]:
        monkeypatch.setattr(sys, "argv", ["sparrow-train", "judge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    out = tmp_path / "out"
    code, text = judge("--snapshots", root, "--out", out, "--count", 4)
    assert code == 0
    assert text.startswith("4 segments of ")
    key = json.loads((out / "key.json").read_text())
    assert (out / "titles.md").read_text().count("Fit: __ of 8") == 4
    (tmp_path / "answers").write_text("".join(f"{trial} {letter}\n" for trial, letter in key.items()))
    assert judge("--out", out, "--answers", tmp_path / "answers") == (0, "4 of 4 titles were told from three others\n")
    assert judge("--snapshots", tmp_path / "none", "--out", out)[0] == 1
