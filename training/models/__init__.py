"""The models, one paper a file."""
