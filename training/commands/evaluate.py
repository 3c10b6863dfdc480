"""sparrow-train evaluate: what complete runs are worth, and by how much they differ."""

from pathlib import Path
from typing import Annotated

import typer

from training import bars, metrics, options, verdict
from training.commands import report
from training.options import AsJson, DatasetName, InteractionsFile, MaxQuestions, Out, ProtocolName, TestFile


def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Complete runs; the first is compared with.")],
    interactions_file: InteractionsFile = None,
    dataset: DatasetName = None,
    test_file: TestFile = None,
    protocol: ProtocolName = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of a history, of folds.")] = 5,
    max_questions: MaxQuestions = 10_000,
    beta: Annotated[float, typer.Option(min=0, help="How strongly penalised_recall counts popularity.")] = metrics.BETA,
    int8: Annotated[bool, typer.Option("--int8", help="Judge each also as published with int8 values.")] = False,
    k: Annotated[
        str | None, typer.Option("--k", help="Judge each also with so many values per item: numbers, comma-separated.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Judge complete runs through the search that serves; what they were fitted to has to be named again.

    Asked is what --test holds, or what follows the --test-after of the fit, or the users whom the fit held out.
    """
    train = options.file_of(interactions_file, dataset)
    sizes = () if k is None else options.parsed("--k", k, int)
    with bars.waiting(f"reading {train.name}"):
        data = verdict.data_of(runs[0], train, test_file)
    how = options.protocol_of(protocol, data, folds=folds, max_questions=max_questions)
    with bars.waiting("asking " + ", ".join(map(str, runs))):
        document = verdict.judge(runs, data, how, int8=int8, sizes=sizes, beta=beta).document()
    report.give(document, verdict.markdown(document), out, as_json=as_json)
