"""The commands of sparrow-train, one a module; `training.options` has what they share."""
