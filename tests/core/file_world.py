"""A charger, a cloud and a file service that do as they please, by a seed; and what must hold all the same.

The checkers know nothing of `core`: they look at what the cloud and the charger sent and got, and at what the
file service was told. `World(seed).run()` returns what was broken, in words.
"""

from __future__ import annotations

import random
from typing import Any

import orjson

from edgegw.core.files import (
    FetchFirmware,
    FetchOutcome,
    FirmwareFetched,
    LogOrdered,
    OpenUpload,
    UpdateOrdered,
    UploadForwarded,
    UploadNews,
    UploadOpened,
    UploadOutcome,
)
from edgegw.wire import frames
from tests.core.file_story import LINK, PLACE, file_story, get_log, log_status_of, status_of, update
from tests.core.story import V21, V201

STEPS = 60
WAY = ("Downloading", "Downloaded", "Installing", "Installed")
SITE_FIRST = 0x3E000000
ENDS = {"Installed", "DownloadFailed", "InstallationFailed", "InvalidSignature", "Uploaded", "UploadFailure"}


class World:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.version = self.rng.choice((V201, V21))
        self.told = file_story(self.version)
        self.told.cloud.is_polite = True
        self.seen = 0  # effects looked at
        self.next_id = 0
        self.pending: list[Any] = []  # what the file service was asked and has not answered
        self.ready: set[str] = set()  # orders whose file was served
        self.owed: list[str] = []  # uploads to be forwarded
        self.to_answer: list[list[Any]] = []  # CALLs at the charger
        self.update: list[Any] | None = None  # at the charger: [request id, how far]
        self.log: list[Any] | None = None
        self.cloud_calls: dict[str, list[Any]] = {}
        self.answers: dict[str, list[Any]] = {}
        self.cloud_heard: list[list[Any]] = []
        self.charger_sent: dict[str, list[Any]] = {}
        self.charger_heard: list[list[Any]] = []
        self.forwarded: dict[str, bool] = {}
        self.broken: list[str] = []
        self.up = True

    # --- what happens -----------------------------------------------------------------------------

    def run(self) -> list[str]:
        for _ in range(STEPS):
            self.rng.choice(self.choices())()
            self.look()
        self.settle()
        self.check()
        return self.broken

    def choices(self) -> list[Any]:
        always = [self.time, self.restart, self.link, self.service, self.forward]
        if self.up:
            always += [self.answer] * 4 + [self.report] * 4 + [self.site]
        if self.told.cloud.up:
            always += [self.order_update, self.order_log]
        return always + [self.service] * 3 + [self.time] * 2

    def time(self) -> None:
        self.told.after(self.rng.choice((0.1, 2.0, 7.0, 40.0)))

    def restart(self) -> None:
        if self.rng.random() < 0.8:
            return
        self.told.restart()
        self.gone()
        self.pending.clear()
        self.told.effects.clear()
        self.seen = 0

    def gone(self) -> None:
        self.up = False
        self.to_answer.clear()

    def link(self) -> None:
        which = self.rng.random()
        if not self.up:
            self.up = True
            self.told.charger.connects()
            if self.rng.random() < 0.7:
                self.told.charger.sends("Heartbeat")
            if which < 0.8 and not self.told.cloud.up:
                self.told.cloud.comes_back()
        elif which < 0.3:
            self.told.charger.leaves()
            self.gone()
        elif self.told.cloud.up:
            self.told.cloud.goes_away()
        else:
            self.told.cloud.comes_back()

    def number(self) -> int:
        self.next_id += 1
        return self.next_id

    def order_update(self) -> None:
        number = self.number()
        action, payload = update(self.version, request=number)
        self.cloud_calls[f"c-{number}"] = payload
        self.told.cloud.sends(action, payload, id=f"c-{number}")

    def order_log(self) -> None:
        number = self.number()
        action, payload = get_log(self.version, request=number, location="https://logs.example/in/")
        self.cloud_calls[f"c-{number}"] = payload
        self.told.cloud.sends(action, payload, id=f"c-{number}")

    def site(self) -> None:
        number = SITE_FIRST + self.number()
        if self.rng.random() < 0.5:
            self.told.happens(UpdateOrdered(order=f"r-{number}", url=LINK, request_id=number))
        else:
            self.told.happens(LogOrdered(order=f"d-{number}", url=PLACE, request_id=number))

    def service(self, *, good: bool = False) -> None:
        if not self.pending:
            return
        asked = self.pending.pop(self.rng.randrange(len(self.pending)))
        if isinstance(asked, OpenUpload):
            outcome = UploadOutcome.READY if good else self.rng.choice(list(UploadOutcome))
            urls = (PLACE,) if outcome is UploadOutcome.READY else ()
            self.told.happens(UploadOpened(order=asked.order, outcome=outcome, urls=urls))
            return
        bad = self.rng.random() < 0.3 and not good
        fetched = self.rng.choice(list(FetchOutcome)) if bad else FetchOutcome.READY
        urls = (LINK,) if fetched is FetchOutcome.READY else ()
        self.told.happens(FirmwareFetched(order=asked.order, outcome=fetched, urls=urls))

    def forward(self, *, good: bool = False) -> None:
        if self.owed:
            order = self.owed.pop(0)
            ok = good or self.rng.random() < 0.7
            self.told.happens(UploadForwarded(order=order, ok=ok))

    def answer(self, *, good: bool = False) -> None:
        """The charger answers the CALL it has."""
        if not self.to_answer:
            return
        _, message_id, action, payload = self.to_answer.pop(0)
        if action not in ("UpdateFirmware", "GetLog"):
            self.told.charger.says(frames.result(message_id, {}))
            return
        if not good and self.rng.random() < 0.2:
            self.told.charger.says(frames.result(message_id, {"status": "Rejected"}))
            return
        busy = self.update if action == "UpdateFirmware" else self.log
        if action == "UpdateFirmware":
            self.update = [payload["requestId"], 0]
        else:
            self.log = [payload["requestId"], 0]
        status = "AcceptedCanceled" if busy is not None else "Accepted"
        self.told.charger.says(frames.result(message_id, {"status": status}))

    def report(self, *, good: bool = False) -> None:
        """The charger's update or upload goes one step on, or fails."""
        if self.update is not None and (self.log is None or self.rng.random() < 0.7):
            request, step = self.update
            failed = not good and self.rng.random() < 0.1
            status = "DownloadFailed" if failed else WAY[step]
            self.update = None if failed or step + 1 == len(WAY) else [request, step + 1]
            self.say(*status_of(self.version, status, request=request))
        elif self.log is not None:
            request, step = self.log
            status = ("Uploading", "Uploaded")[step]
            self.log = None if step else [request, 1]
            self.say(*log_status_of(self.version, status, plain=False, request=request))

    def say(self, action: str, payload: dict[str, Any]) -> None:
        message_id = f"s-{self.number()}"
        self.charger_sent[message_id] = [2, message_id, action, payload]
        self.told.charger.says(orjson.dumps(self.charger_sent[message_id]))

    # --- what was seen ----------------------------------------------------------------------------

    def look(self) -> None:
        for raw in self.told.charger.take():
            frame = orjson.loads(raw)
            if frame[0] == 2:
                self.charger_heard.append(frame)
                self.to_answer += [frame] if self.up else []
        for raw in self.told.cloud.take():
            frame = orjson.loads(raw)
            if frame[0] == 2:
                self.cloud_heard.append(frame)
            else:
                self.answers.setdefault(frame[1], []).append(frame)
        for effect in self.told.effects[self.seen :]:
            if isinstance(effect, FetchFirmware | OpenUpload):
                self.pending.append(effect)
            elif isinstance(effect, UploadNews) and effect.status == "Uploaded" and effect.ended:
                self.owed += [effect.order] if not effect.order.startswith("d-") else []
        self.seen = len(self.told.effects)

    def settle(self) -> None:
        """From here on everybody means well; what was begun must come to an end."""
        for order in [o.id for o in self.told.core.state.files.uploads.values() if o.uploaded]:
            self.owed += [order] if order not in self.owed else []  # a restarted service tells again
        for _ in range(200):
            if not self.up:
                self.up = True
                self.told.charger.connects()
            self.told.charger.sends("Heartbeat")
            if not self.told.cloud.up:
                self.told.cloud.comes_back()
            self.look()
            for act in (self.service, self.answer, self.report, self.forward):
                act(good=True)
                self.look()
            self.told.after(1)
            self.look()
        self.told.after(4000)
        self.look()

    # --- what must hold ---------------------------------------------------------------------------

    def check(self) -> None:
        self.answered_once()
        self.nothing_of_the_site()
        self.every_status_in_order()
        self.every_accepted_order_has_an_end()
        self.only_known_addresses()

    def answered_once(self) -> None:
        twice = [m for m, a in self.answers.items() if len(a) > 1 and m in self.cloud_calls]
        self.broken += [f"{m} was answered {len(self.answers[m])} times" for m in twice]

    def nothing_of_the_site(self) -> None:
        for frame in self.cloud_heard:
            if (frame[3].get("requestId") or 0) >= SITE_FIRST:
                self.broken.append(f"the cloud heard of {frame[3]}")
        for message_id, frames_ in self.answers.items():
            replaced = self.cloud_calls.get(message_id, {}).get("requestId")
            if replaced and frames_[0][2] == {"status": "Canceled"}:
                self.broken.append(f"{message_id}: Canceled")

    def every_status_in_order(self) -> None:
        """Firmware states of the cloud's own updates: all of them, in order, the same bytes."""
        sent = [f for f in self.charger_sent.values() if f[2] == "FirmwareStatusNotification"]
        sent = [f for f in sent if f[3]["requestId"] < SITE_FIRST]
        heard: dict[str, list[Any]] = {}
        for frame in self.cloud_heard:
            if frame[2] == "FirmwareStatusNotification" and frame[1].startswith("s-"):
                heard.setdefault(frame[1], frame)
        if list(heard.values()) != sent:
            self.broken.append(f"states sent {sent} and heard {list(heard.values())}")

    def every_accepted_order_has_an_end(self) -> None:
        """What the cloud was told Accepted has an end that it heard, unless another took its place."""
        for kind, action in (("firmware", "FirmwareStatusNotification"), ("log", "LogStatusNotification")):
            ended = {
                f[3].get("requestId") for f in self.cloud_heard if f[2] == action and f[3]["status"] in ENDS
            }
            accepted = [
                (m, p["requestId"])
                for m, p in self.cloud_calls.items()
                if kind in p and any(a[2].get("status") == "Accepted" for a in self.answers.get(m, []))
            ]
            newest = max((p["requestId"] for p in self.cloud_calls.values() if kind in p), default=0)
            self.broken += [
                f"{m} ({kind}) was accepted and has no end"
                for m, r in accepted
                if r not in ended and r == newest
            ]

    def only_known_addresses(self) -> None:
        for frame in self.charger_heard:
            if frame[2] == "UpdateFirmware":
                location = frame[3]["firmware"]["location"]
                known = location in (LINK, update(self.version)[1]["firmware"]["location"])
                self.broken += [] if known else [f"the charger was given {location}"]
