"""What holds for every test: no test fails because the machine is busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The same examples on every machine; `pytest --hypothesis-profile=search` draws others.
settings.register_profile(
    "edgegw", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edgegw")
