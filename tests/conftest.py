"""What holds for every test: none fails because the machine is busy, or because of how it was started."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# The same examples on every machine; `pytest --hypothesis-profile=search` draws others.
settings.register_profile(
    "edgegw", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edgegw")

# Behind `nohup` or `&` these are ignored, and a process that a test starts would inherit that. A handler
# that does nothing is as good here, and gone in the child.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
