"""All file work of one charger: firmware in, logs out, what is told of it and noted about it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from edgegw.sim.notices import Notices
from edgegw.sim.updates import Updates
from edgegw.sim.uploads import Uploads

if TYPE_CHECKING:
    from edgegw.sim.charger import SimCharger


class FileWork:
    def __init__(self, charger: SimCharger) -> None:
        self.charger = charger
        self._notices = Notices(charger)
        self.updates = Updates(self, self._notices)
        self.uploads = Uploads(self, self._notices)

    def power_on(self) -> None:
        self.charger.spawn(self._notices.run())
        self.updates.power_on()
        self.uploads.power_on()

    def triggered(self, action: str) -> None:
        """By TriggerMessage or ExtendedTriggerMessage."""
        if action == "FirmwareStatusNotification":
            self.updates.triggered()
        elif action == "DiagnosticsStatusNotification":
            self.uploads.triggered(get_log=False)
        elif action == "LogStatusNotification":
            self.uploads.triggered(get_log=True)

    def moved(self, event: str, **facts: Any) -> None:
        """A transfer or an installation is complete."""
        if self.charger.habits.hash_log:
            line = json.dumps({"charger": self.charger.identity, "event": event, **facts}) + "\n"
            log = os.open(self.charger.habits.hash_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(log, line.encode())
            finally:
                os.close(log)
        self.charger.moved(event, **facts)

    def failed(self, what: str, why: str) -> None:
        self.charger.moved("failed", what=what, why=why)
