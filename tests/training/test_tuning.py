"""A search: what it finds, what it keeps, what ends it, and that it goes on after whatever interrupted it."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from training import job, recipe, spaces, split, study, tuning
from training.errors import DataError, RunError, TrainingError
from training.evaluate import MAIN
from training.interactions import Interactions
from training.recipe import Recipe
from training.study import Plan

LONG = 60.0
"""Minutes that no test takes."""


@dataclass
class Notes:
    """A watcher that writes down; interrupts as Ctrl-C does when so many trials are over."""

    interrupt_after: int | None = None
    lines: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def now(self, share: float, text: str) -> None:
        assert text
        self.shares.append(share)
        if self.interrupt_after == sum(line.startswith("trial") for line in self.lines):
            raise KeyboardInterrupt

    def done(self, text: str) -> None:
        self.lines.append(text)


def plan_of(name: str, *searches: str, settings: tuple[str, ...] = (), minutes: float = LONG, **more: int) -> Plan:
    base = recipe.load(name, settings)
    return Plan(base, spaces.parse(base, searches), minutes, **more)


def score(chosen: Recipe, data: Interactions, seed: int = 42) -> float:
    """What a recipe is worth to the validation users of `fit`."""
    seeded = replace(chosen, training=replace(chosen.training, seed=seed))
    divided = split.holdout(len(data.users), split.VALIDATION_SEED, share=chosen.evaluation.validation_share)
    return job.run(seeded, data.matrix(), divided).validation.mean(MAIN)


def test_few_combinations_are_all_tried_and_the_best_is_kept(books: Interactions, tmp_path: Path) -> None:
    plan = plan_of("pruned-ease", "model.l2=2,20,200,2000", "model.k=4,16", settings=("model.l2=1", "model.k=2"))
    notes = Notes()
    found = tuning.tune(tmp_path / "best.toml", plan, books, notes)
    scores = {
        (l2, k): score(recipe.load("pruned-ease", [f"model.l2={l2}", f"model.k={k}"]), books)
        for l2 in (2.0, 20.0, 200.0, 2000.0)
        for k in (4, 16)
    }
    best = max(scores, key=lambda each: scores[each])
    assert (found.recipe.model.l2, found.recipe.model.k) == best
    assert found.score == scores[best]
    own = score(plan.recipe, books)
    assert own < found.score
    assert found.own_score == own
    assert found.trials == {"finished": 8, "ended early": 0, "failed": 0}
    assert [each.score for each in found.best] == sorted(scores.values(), reverse=True)[: study.SHOWN]
    assert notes.lines[0].startswith(f"the recipe itself: ndcg@100 {own:.4f}")
    assert notes.shares[0] < notes.shares[-1] <= 1
    assert recipe.load(str(tmp_path / "best.toml")) == found.recipe


def test_the_recipe_is_kept_where_nothing_is_better(books: Interactions, tmp_path: Path) -> None:
    plan = plan_of("pruned-ease", "model.k=1,2")
    found = tuning.tune(tmp_path / "best.toml", plan, books, Notes())
    assert (found.trial, found.recipe) == (None, plan.recipe)
    assert found.score == found.own_score
    assert found.score > found.best[0].score
    assert "the recipe that it began with, of 2 trials" in (tmp_path / "best.toml").read_text()


def test_seeds_are_averaged(books: Interactions, tmp_path: Path) -> None:
    plan = plan_of("pruned-ease", "model.l2=20..2000:log", n_trials=2, n_seeds=3)
    found = tuning.tune(tmp_path / "best.toml", plan, books, Notes())
    for each in found.best:
        chosen = recipe.load("pruned-ease", [f"model.l2={each.values['model.l2']}"])
        assert each.score == pytest.approx(np.mean([score(chosen, books, seed) for seed in (42, 43, 44)]))


def test_a_search_is_of_its_seed(books: Interactions, tmp_path: Path) -> None:
    plan = plan_of("pruned-ease", "model.l2=20..2000:log", "model.k=1..64", n_trials=11)
    one, same, other = Notes(), Notes(), Notes()
    for name, each in (("one", one), ("same", same)):
        tuning.tune(tmp_path / name / "best.toml", plan, books, each)
    tuning.tune(tmp_path / "other" / "best.toml", replace(plan, seed=1, n_trials=2), books, other)
    assert one.lines == same.lines
    assert not set(one.lines[1:]) & set(other.lines[1:])


def test_a_trial_that_is_behind_is_ended(books: Interactions, tmp_path: Path) -> None:
    """Six that learn and one that does not, which comes last."""
    rates = "0.1,0.11,0.12,0.13,0.14,0.15,1e-12"
    settings = ("model.n_dims=16", "training.epochs=4", "training.batch_size=32", "training.patience=4")
    plan = plan_of("elsa", f"training.learning_rate={rates}", settings=settings)
    last = [spaces.shuffled(plan.space, seed)[-1]["training.learning_rate"] for seed in range(100)]
    notes = Notes()
    found = tuning.tune(tmp_path / "best.toml", replace(plan, seed=last.index(1e-12)), books, notes)
    assert notes.lines[-1].startswith("trial 6: ended early; training.learning_rate 1e-12")
    assert found.trials["ended early"] >= 1
    assert found.recipe.training.learning_rate > 0.09  # type: ignore[union-attr]


def test_a_failing_trial_is_counted(books: Interactions, tmp_path: Path) -> None:
    found = tuning.tune(tmp_path / "best.toml", plan_of("pruned-ease", "model.k=32,60000"), books, Notes())
    assert found.trials == {"finished": 1, "ended early": 0, "failed": 1}
    assert found.recipe.model.k == 32
    assert found.last_error is not None
    assert "model.k is 60000" in found.last_error
    assert "1 failed (the last one: model.k is 60000" in (tmp_path / "best.toml").read_text()


def test_a_search_that_only_fails_ends(books: Interactions, tmp_path: Path) -> None:
    found = tuning.tune(tmp_path / "best.toml", plan_of("pruned-ease", "model.k=50000..65000"), books, Notes())
    assert found.trials == {"finished": 0, "ended early": 0, "failed": tuning.MAX_FAILED}
    assert found.trial is None
    plan = plan_of("pruned-ease", "model.k=50000,60000", settings=("model.k=40000",))
    with pytest.raises(TrainingError, match=r"^neither the recipe nor a trial could be fitted; the last: model.k is"):
        tuning.tune(tmp_path / "none.toml", plan, books, Notes())
    assert not (tmp_path / "none.toml").exists()


def test_data_that_nothing_can_be_learnt_from_end_it_at_once(books: Interactions, tmp_path: Path) -> None:
    _, first = np.unique(books.user, return_index=True)
    lonely = replace(books, user=books.user[first], item=books.item[first], weight=books.weight[first])
    plan = plan_of("pruned-ease", "model.k=8,16")
    with pytest.raises(DataError, match="no held-out user has two items or more"):
        tuning.tune(tmp_path / "best.toml", plan, lonely, Notes())
    assert tuning.tune(tmp_path / "best.toml", plan, books, Notes()).score > 0  # nothing to resume was left


def test_a_budget_that_is_used_ends_it(books: Interactions, tmp_path: Path) -> None:
    out = tmp_path / "best.toml"
    plan = plan_of("pruned-ease", "model.l2=20..2000:log", minutes=1e-6)
    found = tuning.tune(out, plan, books, Notes())
    assert (found.trial, sum(found.trials.values())) == (None, 0)
    longer = replace(plan, minutes=LONG, n_trials=2)
    assert sum(tuning.tune(out, longer, books, Notes(), resume=True).trials.values()) == 2
    kept = out.stat()
    again = Notes()
    assert sum(tuning.tune(out, longer, books, again, resume=True).trials.values()) == 2
    assert again.lines == []
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_an_interrupted_search_goes_on(books: Interactions, tmp_path: Path) -> None:
    plan, out = plan_of("pruned-ease", "model.l2=2,20,200,2000"), tmp_path / "best.toml"
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(out, plan, books, Notes(interrupt_after=2))
    assert recipe.load(str(out)).model_name == "pruned-ease"
    found = tuning.tune(out, plan, books, Notes(), resume=True)
    assert found.trials["finished"] == 4
    undisturbed = tuning.tune(tmp_path / "other.toml", plan, books, Notes())
    assert [each.score for each in found.best] == [each.score for each in undisturbed.best]
    assert {each.values["model.l2"] for each in found.best} == {2.0, 20.0, 200.0, 2000.0}


def test_what_a_crash_leaves_is_cleared(books: Interactions, tmp_path: Path) -> None:
    """A trial that never ended, half a line, and optuna's lock."""
    plan, out = plan_of("pruned-ease", "model.l2=20..2000:log", n_trials=2), tmp_path / "best.toml"
    tuning.tune(out, plan, books, Notes())
    with study.opened(out, plan, books, resume=True) as trials:
        trials.ask(dict(plan.space))
    journal = study.journal_of(out)
    with journal.open("a") as file:
        file.write('{"op_code":4,"worker')
    Path(f"{journal}.lock").symlink_to(journal)
    found = tuning.tune(out, replace(plan, n_trials=4), books, Notes(), resume=True)
    assert found.trials == {"finished": 4, "ended early": 0, "failed": 0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.study.jsonl", "best.toml"]


def test_what_is_not_to_be_resumed_is_refused(books: Interactions, tmp_path: Path) -> None:
    plan, out = plan_of("pruned-ease", "model.l2=20..2000:log", n_trials=1), tmp_path / "best.toml"
    tuning.tune(out, plan, books, Notes())
    with pytest.raises(RunError, match=r"best.toml is there already; go on with --resume, or name another --out"):
        tuning.tune(out, plan, books, Notes())
    out.unlink()
    with pytest.raises(RunError, match=r"best.study.jsonl is there already; go on with --resume, or name another"):
        tuning.tune(out, plan, books, Notes())
    half = replace(books, user=books.user[::2], item=books.item[::2], weight=books.weight[::2])
    for other, data in (
        (plan_of("pruned-ease", "model.l2=20..1000:log"), books),
        (plan_of("ease", "model.l2=20..2000:log"), books),
        (replace(plan, n_seeds=2), books),
        (plan, half),
    ):
        with pytest.raises(RunError, match=r"best.study.jsonl is of other data, another recipe or another search;"):
            tuning.tune(out, other, data, Notes(), resume=True)
    tuning.tune(out, plan, books, Notes(), resume=True)
    assert out.is_file()


def test_a_file_that_no_search_wrote_is_not_overwritten(books: Interactions, tmp_path: Path) -> None:
    (tmp_path / "best.toml").write_text("mine")
    with pytest.raises(RunError, match=r"best.toml is there, but no study beside it; name another --out"):
        tuning.tune(tmp_path / "best.toml", plan_of("pruned-ease", "model.l2=1..2"), books, Notes(), resume=True)
    assert (tmp_path / "best.toml").read_text() == "mine"


def test_one_search_at_a_time(books: Interactions, tmp_path: Path) -> None:
    with (tmp_path / "best.study.jsonl").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match=r"best.study.jsonl is held by a search that runs; name another --out"):
            tuning.tune(tmp_path / "best.toml", plan_of("pruned-ease", "model.l2=1..2"), books, Notes())


@pytest.mark.parametrize("line", ["nonsense", "{}", "[]", "3", '{"op_code":99}', '{"op_code":0,"worker_id":"x"}'])
def test_a_damaged_study_is_refused(line: str, books: Interactions, tmp_path: Path) -> None:
    plan, out = plan_of("pruned-ease", "model.l2=20..2000:log", n_trials=1), tmp_path / "best.toml"
    tuning.tune(out, plan, books, Notes())
    journal = study.journal_of(out)
    first, *rest = journal.read_text().splitlines()
    journal.write_text("\n".join([first, line, *rest]) + "\n")
    with pytest.raises(RunError, match=r"best.study.jsonl is damaged, or no journal of a search \(.*\); name another"):
        tuning.tune(out, plan, books, Notes(), resume=True)


def test_a_journal_of_something_else_is_left_alone(books: Interactions, tmp_path: Path) -> None:
    journal = tmp_path / "best.study.jsonl"
    optuna.create_study(storage=JournalStorage(JournalFileBackend(str(journal))), study_name="mine")
    before = journal.read_bytes()
    with pytest.raises(RunError, match=r"no journal of a search \(.*\); name another --out"):
        tuning.tune(tmp_path / "best.toml", plan_of("pruned-ease", "model.l2=1..2"), books, Notes())
    assert journal.read_bytes() == before


def test_ctrl_c_leaves_the_best_so_far_that_goes_on(books_file: Path, tmp_path: Path) -> None:
    """A real process gets a real SIGINT; resumed, it has as many trials as it was to have."""
    out = tmp_path / "tuned" / "best.toml"
    command = str(Path(sys.executable).parent / "sparrow-train")
    what = ["--interactions", str(books_file), "--recipe", "pruned-ease", "--min-item-support", "5"]
    line = [command, "tune", *what, "--out", str(out), "--minutes", "60"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=one_thread) as process:
        while process.poll() is None and not out.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert f"{out} is the best recipe so far" in " ".join(err.split())
    assert "Traceback" not in err
    assert recipe.load(str(out)).filters.min_item_support == 5
    before = study.journal_of(out).read_text().count("datetime_complete")
    again = subprocess.run(
        [*line, "--resume", "--trials", str(before + 3), "--json"],
        capture_output=True,
        text=True,
        env=one_thread,
        check=True,
    )
    document = json.loads(again.stdout)
    assert sum(document["trials"].values()) == before + 3
    assert document["recipe"]["model"]["l2"] == recipe.load(str(out)).model.l2
