"""What a person sees: a table of trials that tells what differs, and signs of life on a terminal only."""

import pytest
from rich.console import Console

from training import bars, console


def test_values_that_all_trials_share_are_no_column() -> None:
    shown = Console(width=60, record=True, quiet=False)
    rows = [
        ("trial 1", 0.5, {"model.k": 8, "training.relative": True, "training.learning_rate": 1.0}),
        ("trial 0", None, {"model.k": 8, "training.relative": True, "training.learning_rate": 2.0}),
        ("as it was", 0.4, {"model.k": 16, "training.relative": True, "training.learning_rate": 2.0}),
    ]
    console.print_found(shown, "the best", rows)
    text = shown.export_text()
    assert "model.k" in text
    assert "learning_rate" in text.replace("\n", "")
    assert "relative" not in text
    assert "failed" in text


def test_one_row_alone_has_no_values_that_differ() -> None:
    shown = Console(width=60, record=True)
    console.print_found(shown, "the best", [("as it was", 0.4, {"model.k": 16})])
    assert "model.k" not in shown.export_text()


@pytest.mark.parametrize("quiet", [False, True])
def test_waiting_is_seen_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, quiet: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # which makes anything a terminal to rich
    with bars.waiting("reading likes.csv", quiet=quiet):
        pass
    assert ("reading likes.csv" in capsys.readouterr().err) is not quiet


def test_waiting_is_not_seen_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with bars.waiting("reading likes.csv"):
        pass
    assert capsys.readouterr().err == ""


def test_what_is_kept_is_told_when_something_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        with console.telling_what_is_kept("All [of it] is kept"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err == "Interrupted. All [of it] is kept\n"
