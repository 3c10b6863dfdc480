"""What all tests share: how hypothesis runs, and that Ctrl-C reaches what tests start."""

import signal

from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a busy machine.
settings.register_profile("sparrow", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sparrow")

# A shell that runs tests in the background has them ignore SIGINT, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
