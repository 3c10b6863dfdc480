"""The HTTP endpoints, one noun a module."""
