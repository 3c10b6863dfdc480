"""The questions of `benchmarks.training`: each module measures one thing."""
