"""The part of the control client that is about frames; as they pass: `control.live_client`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgegw.control import frame_models as models
from edgegw.control.talks import Talks
from edgegw.new_files import new_file

BLOCK_BYTES = 256 * 1024

Moved = Callable[[int], None]  # told how many bytes there are, each time some came


def _nothing(moved_bytes: int) -> None:
    return


class FrameClient(Talks):
    """Mixed into `ControlClient`, which does the talking."""

    def frames(
        self,
        charger: str | None = None,
        *,
        action: str | None = None,
        since_s: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> models.FrameList:
        """The newest frames of one charger, or of all; `before` pages back, `since_s` is an age."""
        given = {
            "charger": charger,
            "action": action,
            "since_s": since_s,
            "before": before,
            "limit": limit,
        }
        asked = {name: value for name, value in given.items() if value is not None}
        return self._get(models.FrameList, "/v1/frames", asked)

    def export_frames(
        self,
        target: Path,
        *,
        charger: str | None = None,
        since_s: float | None = None,
        replace: bool = False,
        moved: Moved = _nothing,
    ) -> int:
        """Write a new file for `edgegw replay`, whole or not at all; its bytes. Raises OSError.

        `replace`: also over a file that is there, which is otherwise a FileExistsError.
        """
        given = {"charger": charger, "since_s": since_s}
        asked = {name: value for name, value in given.items() if value is not None}
        size_bytes = 0
        with (
            new_file(target, replace=replace) as file,
            self._streaming("/v1/frames/export", asked) as answer,
        ):
            for block in answer.iter_bytes(BLOCK_BYTES):
                size_bytes += file.write(block)
                moved(size_bytes)
        return size_bytes
