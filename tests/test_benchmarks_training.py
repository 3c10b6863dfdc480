"""The benchmarks of training measure what they say: equal gradients, exact sums, and a run of everything, small."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from typer.testing import CliRunner

from benchmarks import limits, targets, timing, training
from benchmarks.learning import autograd, clock, limit, memory, processes, report, schedule, step, subject, tables
from benchmarks.learning.clock import Taken
from benchmarks.learning.schedule import Epoch
from benchmarks.learning.step import AtPositions, Masked, Problem
from benchmarks.learning.subject import FULL, QUICK, Scale, Subject
from benchmarks.learning.targets import PLACE, TARGETS
from training.models.compressed_elsa import CompressedElsa
from training.models.cooccurrence import first_positions
from training.models.sparsity import Width

# cases have the names that targets use, and hardly any users
SMALL = replace(
    FULL,
    n_dims=160,
    paper_batches=(1024, 16),
    rounds=1,
    stage_epochs=1,
    n_sampled=2,
    seeds=2,
    process_steps=2,
    process_rounds=1,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def what(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    rng = np.random.default_rng(1)
    histories = (rng.random((60, 90)) < rng.power(0.3, 90)).astype(np.float32)
    return subject.of(csr_array(histories), SMALL, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("k", [2, 7, 32, 160])
def test_every_way_has_the_gradient_of_autograd(what: Subject, k: int) -> None:
    raw = step.beginning(what)
    problem = Problem(raw, step.batch(what, raw, k), k)
    masked = Masked(problem)
    masked.step()
    assert masked.first is not None
    loss, gradient = masked.first
    for name, make in step.SPARSE_STEPS.items():
        way = AtPositions(make, problem)
        way.step()
        way.step()
        assert way.first is not None
        assert way.first[0] == pytest.approx(loss, rel=1e-5), name
        np.testing.assert_allclose(way.first[1], gradient, atol=1e-5 * float(gradient.abs().max()), err_msg=name)


def test_who_is_on_a_corner_is_not_in_the_batch(what: Subject) -> None:
    raw, k = step.beginning(what).double(), 2
    dims = Problem(raw, what.known, k).positions().numpy()
    unit = np.zeros(raw.shape)
    np.put_along_axis(unit, dims, np.take_along_axis(raw.numpy(), dims, 1), 1)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    given = what.known.toarray()
    scores = given.astype(np.float64) @ unit @ unit.T - given
    clear = [np.abs(scores[user][given[user] > 0]).min() > 1e-9 for user in range(len(given))]
    found = step.batch(what, raw, k)
    assert 0 < found.shape[0] < len(given)
    assert np.array_equal(found.toarray(), given[clear])


def test_the_beginning_chooses_the_first_positions(what: Subject) -> None:
    raw = step.beginning(what)
    found = Problem(raw, what.known, 32).positions()
    expected = first_positions(what.known, SMALL.n_dims, 32, subject.FIRST_SEED, "cpu").sort(dim=1).values
    known = np.bincount(what.known.indices, minlength=len(raw)) > 0
    assert torch.equal(found[known], expected[known])


def test_autograd_is_the_formula(what: Subject) -> None:
    raw, batch, k = step.beginning(what).double(), what.batch(5), 3
    found, gradient = autograd.loss_and_gradient(raw, batch, k)
    dims = Problem(raw, batch, k).positions().numpy()
    kept = np.zeros(raw.shape)
    np.put_along_axis(kept, dims, np.take_along_axis(raw.numpy(), dims, 1), 1)
    unit = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    given = batch.toarray().astype(np.float64)
    predicted = np.clip(given @ unit @ unit.T - given, 0, 6)
    predicted, target = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (predicted, given))
    assert found == pytest.approx(np.square(predicted - target).mean())
    assert not gradient.numpy()[kept == 0].any()


def test_a_dense_learner_learns_what_ours_does(what: Subject) -> None:
    recipe = subject.paper(SMALL, 16)
    how = subject.how(recipe)
    ours = CompressedElsa(what.known, recipe.model, subject.optimiser(recipe), epochs=1, seed=how.seed)
    dense = subject.dense_learner(recipe, what.known)
    for number in range(2):
        for learner in (ours, dense):
            learner.start(number, {})
            for batch in subject.epoch(what.known, 16):
                learner.step(batch)
    for name, expected in ours.result().items():
        np.testing.assert_allclose(dense.result()[name], expected, atol=1e-4)


def test_an_epoch_has_every_training_user_once(what: Subject) -> None:
    batches = subject.epoch(what.known, 16)
    assert {batch.shape[0] for batch in batches[:-1]} == {16}
    assert sum(batch.shape[0] for batch in batches) == what.known.shape[0]
    assert sum(batch.sum() for batch in batches) == what.known.sum()


def test_epochs_between_are_interpolated_by_width() -> None:
    timed = [Epoch(100, Taken(10, 100)), Epoch(20, Taken(2, 4)), Epoch(10, Taken(1, 3))]
    found = schedule.total(timed, [Width(100, 1), Width(60, 2), Width(20, 1), Width(10, 5)])
    assert found.wall == pytest.approx(10 + 2 * 6 + 2 + 5 * 1)
    assert found.cpu == pytest.approx(100 + 2 * 52 + 4 + 5 * 3)


def test_the_first_and_the_last_stage_are_among_the_timed(what: Subject) -> None:
    books = replace(what, scale=FULL)
    assert schedule.sample(books) == [0, 1, 11, 21, 31, 40, 50, 60, 70]
    assert schedule.sample(replace(what, scale=replace(FULL, n_sampled=0))) == list(range(71))
    assert sum(each.epochs for each in schedule.widths(books)) == 80


def test_touch_does_to_every_line_what_a_step_does(what: Subject) -> None:
    dims = torch.tensor([[0, 5], [5, 9], [2, 5]])
    touch = limit.Touch(limits.build(what.cache), dims, 10, 33)  # three groups of users
    query, gradient = touch.memory[:, 0].copy(), touch.memory[:, 1].copy()
    told = np.bitwise_xor.reduce(query[dims.numpy().ravel()], axis=None)
    for dim in np.tile(dims.numpy().ravel(), 3):
        gradient[dim] ^= query[dim]
    assert touch.step() == told
    assert np.array_equal(touch.memory[:, 1], gradient)
    assert np.array_equal(touch.memory[:, 0], query)
    assert touch.memory.ctypes.data % limits.LINE_BYTES == 0


def test_threads_are_given_and_taken_back() -> None:
    before = torch.get_num_threads()
    with clock.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_subject_is_the_same_in_another_process(what: Subject, tmp_path: Path) -> None:
    other = subject.kept(*subject.keep(what, tmp_path / "histories.npz"))
    assert (other.scale, other.cache) == (what.scale, what.cache)
    assert np.array_equal(other.known.toarray(), what.known.toarray())


def test_work_of_ended_processes_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter((100.0, 105.0))
    own = iter((10.0, 14.0))
    monkeypatch.setattr(timing, "_busy_seconds", lambda: next(busy))
    monkeypatch.setattr(timing, "_own_seconds", lambda: next(own))
    with timing.watched() as so_far:
        disturbance = so_far()
    assert disturbance.others == pytest.approx(1 / disturbance.seconds)


def test_memory_is_refused_where_it_cannot_be_read(what: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CLEAR", Path("nowhere"))
    with pytest.raises(ValueError, match="only Linux has; leave the question out by --only"):
        memory.measure(what, lambda _: None)


def test_a_process_that_fails_is_named(what: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(ChildProcessError, match="training by 'default' failed with exit code 1"):
        memory.in_a_process("default", ["nowhere.npz", "{}", str(what.cache)])
    with pytest.raises(ChildProcessError, match=r"training in one process\(es\) failed"):
        processes.measure(what, lambda _: None)


def test_unknown_questions_are_refused_by_name() -> None:
    result = CliRunner().invoke(training.cli, ["--only", "speed"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert "--only 'speed' is not one of step, schedule" in " ".join(result.output.replace("│", "").split())


def test_quick_and_whole_exclude_each_other() -> None:
    result = CliRunner().invoke(training.cli, ["--quick", "--whole"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert "--quick and --whole exclude each other" in result.output


@pytest.fixture(scope="module")
def document(what: Subject) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:  # of the processes, as few as will do
        patch.setattr(memory, "WAYS", {name: memory.WAYS[name] for name in (memory.OURS, "paper, dense")})
        return training.ask(what, list(training.QUESTIONS))


def test_every_way_of_training_can_be_weighed(what: Subject) -> None:
    for train in memory.WAYS.values():
        train(what)


def test_everything_small(document: dict[str, Any], tmp_path: Path) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    found = document["places"][PLACE]
    assert set(found) == {"about", *training.QUESTIONS}
    steady = {target.name for target in TARGETS if target.steady}
    judged = {each["name"]: each for each in document["targets"]}
    assert list(judged) == [target.name for target in TARGETS]
    equal = [name for name in steady if "differ" in name]
    assert len(equal) == 8
    assert all(judged[name]["met"] and judged[name]["doubt"] is None for name in equal)
    assert set(found["memory"]["ways"]) == {memory.OURS, "paper, dense"}
    assert all(each["peak_mib"] >= each["before_mib"] > 0 for each in found["memory"]["ways"].values())
    assert list(found["schedule"]["default"]) == ["42", "43"]
    text = report.write(tmp_path, document, []).read_text()
    assert text.startswith("# Training, ")
    assert "\n* torch: " in text
    assert text.index("Why to doubt this") < text.index("What came out") < text.index("**Targets**")
    assert len(tables.of(document)) == 7


def test_plots_are_drawn_and_shown_in_the_report(document: dict[str, Any], tmp_path: Path) -> None:
    from benchmarks.learning import plots

    drawn = plots.draw(tmp_path, document)
    text = report.write(tmp_path, document, drawn).read_text()
    assert len(drawn) == 3
    assert all(f"({path.name})" in text and path.stat().st_size > 1000 for _, path in drawn)


def test_a_busy_machine_makes_times_doubtful_and_nothing_else() -> None:
    figures = {"disturbance": {"noisy": True}, "of_leanest_dense": 0.2}
    ratios = {"slower_than_ours": {schedule.PAPER: {"wall": 60.0, "cpu": 49.0}}, "disturbance": {"noisy": True}}
    places = {PLACE: {"about": {"outside": None}, "memory": figures, "schedule": ratios}}
    slower, memory_share = targets.judge({"places": places}, TARGETS)
    assert (slower.met, slower.by, slower.doubt) == (False, "cpu", "the machine was busy")
    assert (memory_share.met, memory_share.doubt) == (True, None)


def test_quick_is_less_of_everything() -> None:
    for name, full in vars(FULL).items():
        quick = getattr(QUICK, name)
        assert (len(quick) <= len(full)) if isinstance(full, tuple) else quick <= full, name
    assert isinstance(QUICK, Scale)
