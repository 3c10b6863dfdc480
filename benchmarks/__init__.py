"""How fast retrieval is, beside others, in one process; one question a file."""
