"""The part of the control client that asks once for what `live_client` follows."""

from __future__ import annotations

from edgegw.control import live_models as models
from edgegw.control.talks import Talks


class SnapshotClient(Talks):
    """Mixed into `ControlClient`, which does the talking."""

    def me(self) -> models.Me:
        return self._get(models.Me, "/v1/me")

    def snapshot(self) -> models.Snapshot:
        return self._get(models.Snapshot, "/v1/snapshot")

    def power_history(self, circuit: str = "", *, span_s: float = 900.0) -> models.PowerHistory:
        """Of the last `span_s` seconds; "" is the main circuit."""
        asked = {"circuit": circuit, "span_s": span_s}
        return self._get(models.PowerHistory, "/v1/power/history", asked)

    def log(self, *, limit: int = 200) -> models.LogLines:
        return self._get(models.LogLines, "/v1/log", {"limit": limit})
