"""What people ask and order about firmware files and rollouts, without the web around it.

Rules of this file:
- A file that is added passes through the disk, never through memory, and is gone from there when it is in the
  cache or when anything went wrong.
- An order leaves one line in the log; links and their tokens are in none.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from edgegw.control import firmware_models as models
from edgegw.control import firmware_view as view
from edgegw.control.durable import rollout_on_disk
from edgegw.control.file_house import FileRooms
from edgegw.control.file_streams import FileStreams
from edgegw.control.problem import Problem
from edgegw.core.rollout_state import Rollout
from edgegw.errors import EdgegwError
from edgegw.runtime.gateway import Gateway

log = logging.getLogger("edgegw.control")

ADDING_MAX = 2  # files on their way in at once; a box has one disk
NAME_CHARACTERS_MAX = 100  # of a file: it is part of a link with a limited length
NO_FILES = "[files] is not in the site file: this box keeps no firmware and no diagnostics"


def rooms_of(rooms: FileRooms | None) -> FileRooms:
    """Raises Problem 409 no_files."""
    if rooms is None:
        raise Problem(409, "no_files", NO_FILES)
    return rooms


class FirmwareDesk:
    def __init__(self, gateway: Gateway, rooms: FileRooms | None, streams: FileStreams) -> None:
        self._gateway = gateway
        self._given = rooms
        self._streams = streams
        self._adding = 0

    @property
    def _rooms(self) -> FileRooms:
        return rooms_of(self._given)

    # --- files -----------------------------------------------------------------------------------

    def firmware(self) -> models.FirmwareView:
        return view.firmware_view(self._rooms.house)

    async def add(
        self,
        body: AsyncIterator[bytes],
        length: int | None,
        *,
        name: str,
        vendor: str,
        model: str,
        version: str,
        asker: str,
    ) -> models.FileView:
        """`length` as announced. Raises Problem."""
        house = self._rooms.house
        _check_name(name)
        if (length or 0) > house.file_bytes_max:
            raise Problem(413, "too_large", f"the file is longer than {house.file_bytes_max} bytes")
        if self._adding >= ADDING_MAX:
            raise Problem(429, "busy", f"{ADDING_MAX} files are being added already; try again later")
        self._adding += 1
        part = house.receiving / f"added-{secrets.token_hex(8)}.part"
        try:
            await house.make_room(length or 0)
            if not await self._streams.write(part, body, house.file_bytes_max):
                raise Problem(422, "empty", "the file is empty")
            file = await house.add_local(part, name=name, vendor=vendor, model=model, version=version)
        except Problem:
            raise
        except (EdgegwError, OSError) as fault:
            text = fault.strerror or str(fault) if isinstance(fault, OSError) else str(fault)
            raise Problem(507, "no_room", f"{name} cannot be kept: {text}") from fault
        finally:
            self._adding -= 1
            await self._streams.run(lambda: part.unlink(missing_ok=True))
        log.info(
            "%s added firmware %s (%s %s %s), sha256 %s", asker, name, vendor, model, version, file.sha256
        )
        return view.file_view(file)

    async def sign(self, sha256: str, signed: models.FileSignature, asker: str) -> models.FileView:
        house = self._rooms.house
        if sha256 not in house.files:
            raise Problem(404, "no_such_file", f"no file {sha256[:12]} is kept here")
        try:
            file = await house.sign(sha256, signed.certificate, signed.signature)
        except EdgegwError as fault:
            raise Problem(422, "signature", str(fault)) from fault
        log.info("%s added the signature of %s", asker, file.name)
        return view.file_view(file)

    async def remove(self, sha256: str, asker: str) -> models.FileRemoved:
        rooms = self._rooms
        user = rooms.rollouts.uses(sha256)
        if user is not None:
            raise Problem(409, "in_use", f"rollout {user.id} needs {user.name}; stop it first")
        if not await rooms.house.remove(sha256):
            raise _no_such_file(sha256)
        log.info("%s removed firmware %s", asker, sha256)
        return models.FileRemoved(sha256=sha256)

    # --- rollouts --------------------------------------------------------------------------------

    def rollouts(self) -> models.RolloutList:
        """Newest first."""
        known = reversed(self._rooms.rollouts.known.values())
        return models.RolloutList(rollouts=tuple(view.rollout_summary(rollout) for rollout in known))

    def rollout(self, rollout_id: str) -> models.RolloutView:
        return self._seen(self._known(rollout_id))

    async def begin(self, order: models.RolloutOrder, asker: str) -> models.RolloutView:
        """Raises Problem, also when it could not be stored; it is under way then."""
        file = self._rooms.house.files.get(order.sha256)
        if file is None:
            raise _no_such_file(order.sha256)
        named = tuple(dict.fromkeys(order.chargers or ()))
        vendor = file.vendor if order.vendor is None else order.vendor
        model = file.model if order.model is None else order.model
        if not (vendor or model or named):
            text = f"nobody said which chargers {file.name} is for: give vendor and model, or chargers"
            raise Problem(422, "for_whom", text)
        self._check_named(named)
        draft = Rollout(
            id="",
            sha256=file.sha256,
            name=file.name,
            vendor=vendor or "*",
            model=model or "*",
            version=file.version if order.version is None else order.version,
            at_once=order.at_once,
            only_idle=order.only_idle,
            window=order.window,
            failures_max=order.failures_max,
        )
        try:
            rollout = self._rooms.rollouts.begin(draft, named)
        except ValueError as error:
            raise Problem(409, "no_rollout", str(error)) from error
        log.info(
            "%s started rollout %s of %s to %d chargers", asker, rollout.id, file.name, len(rollout.chargers)
        )
        return await self._kept(rollout, "is under way")

    def _check_named(self, named: tuple[str, ...]) -> None:
        for identity in named:
            if identity not in self._gateway.sessions:
                raise Problem(404, "no_such_charger", f"no charger {identity!r} was ever here")

    async def pause(self, rollout_id: str, asker: str) -> models.RolloutView:
        self._open(rollout_id)
        log.info("%s paused rollout %s", asker, rollout_id)
        return await self._kept(self._rooms.rollouts.pause(rollout_id), "is paused")

    async def resume(self, rollout_id: str, asker: str) -> models.RolloutView:
        self._open(rollout_id)
        log.info("%s let rollout %s go on", asker, rollout_id)
        return await self._kept(self._rooms.rollouts.resume(rollout_id), "goes on")

    async def stop(self, rollout_id: str, asker: str) -> models.RolloutView:
        """Again: chargers that failed and never came back no longer count as down."""
        self._known(rollout_id)
        log.info("%s stopped rollout %s", asker, rollout_id)
        return await self._kept(self._rooms.rollouts.end(rollout_id), "has ended")

    async def _kept(self, rollout: Rollout, what: str) -> models.RolloutView:
        await rollout_on_disk(self._rooms.rollouts, f"rollout {rollout.id} {what}")
        return self._seen(rollout)

    def _known(self, rollout_id: str) -> Rollout:
        rollout = self._rooms.rollouts.known.get(rollout_id)
        if rollout is None:
            raise Problem(404, "no_such_rollout", f"there is no rollout {rollout_id!r}")
        return rollout

    def _open(self, rollout_id: str) -> None:
        rollout = self._known(rollout_id)
        if rollout.ended:
            raise Problem(409, "ended", f"rollout {rollout_id} is over: {rollout.why}")

    def _seen(self, rollout: Rollout) -> models.RolloutView:
        return view.rollout_view(rollout, self._rooms.rollouts, self._rooms.house)


def _check_name(name: str) -> None:
    """It becomes the last part of a link, and some chargers look at its ending."""
    if name != Path(name).name or name in ("", ".", "..") or "\\" in name or not name.isprintable():
        raise Problem(422, "invalid", f"{name!r} is no name of a file")
    if len(name) > NAME_CHARACTERS_MAX:
        raise Problem(422, "invalid", f"the name is longer than {NAME_CHARACTERS_MAX} characters")


def _no_such_file(sha256: str) -> Problem:
    return Problem(404, "no_such_file", f"no file {sha256[:12]}... is kept here")
