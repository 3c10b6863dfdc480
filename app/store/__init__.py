"""User state in Redis: the only package that knows Redis."""
