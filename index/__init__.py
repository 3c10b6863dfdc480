"""The sparse index: what is stored, and how it is searched."""
