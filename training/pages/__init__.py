"""Pages judged offline, through the server that serves them: see "Pages" in training/README.md."""
