"""What can go wrong in an offline job, each with one sentence that names the thing, the value and the way out."""


class TrainingError(Exception):
    """A job cannot go on; the command line prints the message and exits with 1."""


class DataError(TrainingError):
    """A file of interactions or items breaks the rules; the message names file, column and row (1 = first data row)."""


class RunError(TrainingError):
    """A run directory is missing something, or does not belong to these data or this recipe."""


class TitlerError(TrainingError):
    """An external titler fails, or gives what is no title."""


class CatalogueTooLargeError(TrainingError):
    """The catalogue has more items than a model can be trained on."""


class RecipeError(ValueError):
    """A recipe or an override is wrong: the command was misused (exit 2)."""
