"""What the commands that ask a server share: options, what is fitted to, and the server of each round."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import typer

from training import bars, datasets, items, later, options
from training.pages import rounds, server
from training.pages.readers import Reader, readers_of
from training.pages.rounds import Material, Readers, Turn
from training.pages.server import Server
from training.recipe import Recipe

ItemsFile = Annotated[Path | None, typer.Option("--items", help="Properties of the items.")]
TestUntil = Annotated[
    int | None,
    typer.Option(parser=options.moment, metavar="TIME", help="Ask for what is before only: for tuning by time."),
]
RecipeName = Annotated[str, typer.Option("--recipe", help="What is fitted.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a value of the recipe.")
]
Asked = Annotated[
    Readers, typer.Option("--readers", help="Who is asked, where nobody is by time: those of compare, or those of fit.")
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds.")]
Groups = Annotated[int, typer.Option("--folds", min=1, help="Disjoint groups of test users per seed.")]
MaxUsers = Annotated[int, typer.Option(min=1, help="Users asked at most, per group; more are drawn.")]
Property = Annotated[
    str | None, typer.Option("--property", help="Of the rows of a property.", show_default="authors, of the books")
]
Environment = Annotated[
    list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A setting of the server that is started.")
]
Keep = Annotated[
    Path | None, typer.Option(help="Keep what is fitted and published here; after a change of code name another.")
]


class Plan(NamedTuple):
    """Whom to ask about what."""

    name: str
    """Of the data set."""
    material: Material
    recipe: Recipe
    key: str | None
    """The property that is compared with."""
    turns: list[Turn]
    readers: Readers
    most: int
    """Users of a turn."""
    settings: Mapping[str, str]

    def asked(self, turn: Turn) -> list[Reader]:
        """The readers of a turn."""
        return readers_of(rounds.drawn(turn, self.most), self.material.data.known, turn.seed)

    def about(self) -> dict[str, Any]:
        """What was asked of what, for reports."""
        data = self.material.data
        return {
            "dataset": self.name,
            "readers": self.readers if data.later is None else "by time",
            "seeds": len({each.seed for each in self.turns}),
            "groups": len({each.group for each in self.turns}),
            "settings": dict(self.settings),
            "exam": dict(self.turns[0].round.exam.facts),
            "data": asdict(data.loaded),
        }


def plan_of(given: Mapping[str, Any]) -> Plan:
    """The plan that the options of a command say; `given`: all of them by name, as `locals()` has them."""
    recipe = options.recipe_of(given["recipe_name"], [*(given["overrides"] or ()), *options.about_data(given)])
    settings = _pairs(given["settings"])
    train, name = options.file_or_books(given["interactions_file"], given["dataset"])
    items_file, key = given["items_file"], given["key"]
    if given["interactions_file"] is None:
        items_file, key = items_file or datasets.bundled(name).items, key or "authors"
    material = _material(train, items_file, recipe, given["test_until"])
    if key is not None and not any(key in each for each in material.properties):
        raise typer.BadParameter(f"--property {key}: no item has it")
    readers, share = given["readers"], recipe.evaluation.validation_share
    if material.data.later is not None and readers == "validation":
        raise typer.BadParameter("--readers validation asks nobody by time; tune on an earlier --test-after")
    turns = list(rounds.turns(material.data, given["seeds"], groups=given["groups"], readers=readers, validation=share))
    return Plan(name, material, recipe, key, turns, readers, given["max_users"], settings)


def _material(train: Path, items_file: Path | None, recipe: Recipe, until: int | None) -> Material:
    with bars.waiting(f"reading {train.name}"):
        data = later.load(train, None, recipe.columns, recipe.filters, until=until)
        if items_file is None:
            return Material(data, [{} for _ in range(len(data.known.items))])
        return Material(data, items.load(items_file, data.known.items, column=recipe.columns.item)[0])


def _pairs(settings: Sequence[str] | None) -> dict[str, str]:
    pairs = dict(each.partition("=")[::2] for each in settings or ())
    for name in pairs:
        if not name.startswith("SPARROW_"):
            raise typer.BadParameter(
                f"--env {name}: settings of the server are called SPARROW_..., as in app/README.md"
            )
    return pairs


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Where fits are kept: as --keep says, or nowhere for long."""
    if keep is not None:
        yield keep
        return
    with TemporaryDirectory(prefix="sparrow-fits-") as made:
        yield Path(made)


class Serving(NamedTuple):
    """A server, and the snapshots that it serves."""

    server: Server
    snapshots: Path


@contextmanager
def serving(plan: Plan, turn: Turn, kept: Path) -> Iterator[Serving]:
    """A server that does not know the readers of this turn."""
    with bars.waiting(f"fitting and publishing, seed {turn.seed}"):
        seeded = rounds.seeded(plan.recipe, turn.seed)
        snapshots = rounds.published(plan.material, seeded, turn.round.split, kept)
    own = TemporaryDirectory(prefix="sparrow-asked-")
    with own as data, server.started(snapshots, Path(data), plan.settings) as found:
        yield Serving(found, snapshots)
