"""The parts of `benchmarks.http`: how fast is the service, beside its framework?"""
