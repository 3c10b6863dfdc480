"""What all tests share: how hypothesis runs. How long an example takes says nothing on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("sparrow", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sparrow")
