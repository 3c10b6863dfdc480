"""sparrow-train: from interactions to embeddings, and from embeddings to a published snapshot."""

import os

# Waiting threads sleep: with OpenMP's default they burn the cores that another process may need, and a step
# takes several times as long on a busy machine. Has to be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import typer

from index.cli import main_for
from index.errors import InvalidEdits, InvalidEmbeddings, SnapshotError
from training.commands.compare import compare_recipes
from training.commands.evaluate import evaluate
from training.commands.examples import write_examples
from training.commands.fit import fit
from training.commands.frontier import draw_frontier
from training.commands.judge import judge_titles
from training.commands.pages import judge_pages
from training.commands.publish import publish
from training.commands.segments import measure_segments
from training.commands.steering import judge_steering
from training.commands.tune import tune_recipe
from training.errors import TrainingError

cli = typer.Typer(name="sparrow-train", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
cli.command("fit")(fit)
cli.command("publish")(publish)
cli.command("evaluate")(evaluate)
cli.command("compare")(compare_recipes)
cli.command("frontier")(draw_frontier)
cli.command("segments")(measure_segments)
cli.command("tune")(tune_recipe)
cli.command("pages")(judge_pages)
cli.command("steering")(judge_steering)
cli.command("examples")(write_examples)
cli.command("judge")(judge_titles)
main = main_for(cli, TrainingError, SnapshotError, InvalidEmbeddings, InvalidEdits)

if __name__ == "__main__":
    main()
