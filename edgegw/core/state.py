"""All that the core knows of one charger, in one place; the modules beside it decide on it.

Registration (facts of OCPP 1.6 4.2, 2.x B01-B03): the cloud's own last word on this charger, kept over
restarts. `accepted` is what lets the box answer for the cloud while it is away.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from edgegw.core.answered import AnsweredCalls
from edgegw.core.authorization import Authorization
from edgegw.core.calls import CallQueue
from edgegw.core.charger_clock import ClockWatch
from edgegw.core.energy_book import EnergyBook
from edgegw.core.events import Instant
from edgegw.core.file_orders import KINDS, FileOrders
from edgegw.core.outbox import Outbox
from edgegw.core.power import PowerState
from edgegw.core.records import ChargerRecovery, SaveDocument
from edgegw.core.report_book import ReportBook
from edgegw.core.site import Site
from edgegw.core.transactions import PAIRS_MAX, PAIRS_MAX_PARKED, Transactions
from edgegw.wire.versions import Version

EPOCH_ROWS_MAX = 16  # below `answered.ANSWERED_MAX`: an id used twice within an epoch is always seen


class Registration(StrEnum):
    NEVER = "never"  # the cloud never said anything
    ACCEPTED = "accepted"
    PENDING = "pending"
    REJECTED = "rejected"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a charger over restarts. Fields of BootNotification are as the charger wrote them."""

    version: Version = Version.V16
    registration: Registration = Registration.NEVER
    interval_s: int = 0  # the heartbeat interval the cloud gave last
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    boot: bytes = b""  # the newest BootNotification frame
    booted_at: float = 0.0  # wall, when it came; 0: not known
    told_accepted: bool = False  # the charger's last boot was answered Accepted, by cloud or box
    cloud_url: str = ""  # adopted upstream, "" for the site's
    file_protocols: tuple[str, ...] = ()  # "HTTP", "FTP", ... as it says itself; () it never did


class ConnectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The newest StatusNotification of one connector."""

    raw: bytes
    status: str = ""
    error_code: str = ""
    info: str = ""
    at: float = 0.0
    cloud_saw: bool = True


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The newest meter values of one connector, as they came (`samples`)."""

    at: float  # mono
    raw: bytes


class ChargerState:
    __slots__ = (
        "answered",
        "authorization",
        "boot_at",
        "boot_seen_at",
        "boot_seen_wall",
        "boots_in_a_row",
        "charger_up",
        "clock",
        "cloud_up",
        "connectors",
        "energy",
        "epoch",
        "epoch_rows",
        "files",
        "give_ups",
        "identity",
        "last_seen_wall",
        "outbox",
        "power",
        "profile",
        "replay_retry_at",
        "replay_slot",
        "reports",
        "samples",
        "seq_no",
        "site",
        "to_charger",
        "to_cloud",
        "transactions",
    )

    def __init__(self, identity: str, site: Site) -> None:
        self.identity = identity
        self.site = site
        self.profile = Profile()
        self.charger_up = False
        self.cloud_up = False
        self.to_cloud = CallQueue()
        self.to_charger = CallQueue()
        self.outbox = Outbox()
        self.transactions = Transactions(identity)
        self.authorization = Authorization(identity, site.policy.tokens, site.site_cache)
        self.answered = AnsweredCalls()
        self.connectors: dict[str, ConnectorStatus] = {}
        self.epoch = 0
        self.epoch_rows = 0
        self.boot_seen_at = float("-inf")  # mono
        self.boot_seen_wall = 0.0
        self.boots_in_a_row = 0  # each soon after the one before
        self.boot_at = 0.0  # the box boots for the charger then (mono); 0 never
        self.give_ups = 0  # CALLs in a row that the cloud did not answer on this leg
        self.replay_slot = 0  # 0 none, 1 asked for, 2 granted
        self.replay_retry_at = 0.0  # the stored message ahead waits until then (mono)
        self.seq_no: dict[str, int] = {}  # 2.x: last seqNo per running transaction
        self.last_seen_wall = 0.0
        self.clock = ClockWatch()
        self.power = PowerState(identity, site.power)
        self.reports = ReportBook()
        self.energy = EnergyBook()
        self.samples: dict[int, Sample] = {}  # by connector or EVSE, the newest meter values
        self.files = FileOrders()

    # --- questions everyone asks -----------------------------------------------------------------

    @property
    def version(self) -> Version:
        return self.profile.version

    @property
    def cloud_says_wait(self) -> bool:
        """The cloud is there and has not accepted this charger: relay verbatim, serve nothing (B02, B03)."""
        return self.cloud_up and self.profile.registration in (Registration.PENDING, Registration.REJECTED)

    @property
    def cloud_awaits_boot(self) -> bool:
        """The cloud wants a boot that the charger will not send: it was told Accepted."""
        return self.cloud_says_wait and self.profile.told_accepted

    @property
    def holds_transactions(self) -> bool:
        """Must a transaction message be kept although the cloud is there?

        What is stored goes first, and a cloud that awaits a boot refuses everything else. A cloud
        that hears a boot may close what it takes to be running: a Start must not overtake it.
        """
        return self.outbox.has_transactions or self.outbox.boot is not None or self.cloud_awaits_boot

    @property
    def serves(self) -> bool:
        """May the box answer for the cloud?"""
        policy = self.site.policy
        return policy.standalone or (policy.serve_locally and not self.cloud_says_wait)

    # --- what was answered -----------------------------------------------------------------------

    def remember_call(self, message_id: str, raw: bytes, *, transactional: bool) -> None:
        if self.answered.put(message_id, raw, transactional=transactional) and self.epoch_rows:
            self.new_epoch()  # a state or notice may have a row: its id must be free for another message

    def remember_answer(self, message_id: str, answer: bytes, *, by_cloud: bool = False) -> None:
        self.answered.answer(message_id, answer, by_cloud=by_cloud)

    def forget_chatter(self) -> None:
        """A new connection: only transaction messages may be the same message again.

        Some chargers count their ids from 1 after every boot; a Heartbeat "1" of today is not
        yesterday's.
        """
        self.answered.forget_chatter()

    def forget_pairs(self) -> list[SaveDocument]:
        """Pairs of transaction ids that nobody will name any more. A stored message may need any of them."""
        if self.outbox.has_transactions:
            return []
        return self.transactions.forget_pairs(PAIRS_MAX_PARKED if self.outbox.parked else PAIRS_MAX)

    def forget_old_pairs(self, now: Instant) -> list[SaveDocument]:
        """A parked message needs its own as well, and may be of before a clock that was put years forward."""
        if self.outbox.has_transactions or self.outbox.parked:
            return []
        return self.transactions.forget_old_pairs(now)

    def new_epoch(self) -> None:
        self.epoch += 1
        self.epoch_rows = 0

    # --- keep ------------------------------------------------------------------------------------

    def save_profile(self, **changes: Any) -> list[SaveDocument]:
        """Change the profile; nothing to do when nothing changed."""
        changed = msgspec.structs.replace(self.profile, **changes)
        if changed == self.profile:
            return []
        self.profile = changed
        return [self.document("charger", "", msgspec.json.encode(changed))]

    def document(self, kind: str, key: str, value: bytes | None, *, durable: bool = True) -> SaveDocument:
        return SaveDocument(kind=kind, charger=self.identity, key=key, value=value, durable=durable)

    def recover(self, kept: ChargerRecovery) -> None:
        """Be again what the store says this charger was."""
        for document in kept.documents:
            if document.kind == "charger":
                self.profile = msgspec.json.decode(document.value, type=Profile)
            elif document.kind == "transaction_id":
                self.site.local_id_seen(self.transactions.recover_pair(document))
            elif document.kind == "status":
                self.connectors[document.key] = msgspec.json.decode(document.value, type=ConnectorStatus)
            elif document.kind in KINDS:
                self.files.recover(document)
            elif document.kind == "reports":
                self.reports.recover(document.value)
            elif document.kind == "energy":
                self.energy.recover(document)
            elif document.kind not in ("power", "profiles"):  # those are for `steering`
                self.authorization.recover(document)
        self.transactions.recover(kept.open_transactions, kept.ended_transactions)
        for transaction, register_wh in self.energy.registers():
            self.transactions.metered_before(transaction, register_wh)
        self.outbox.recover(kept)
        self.epoch = kept.epoch_last
        for row in kept.recent:
            self.answered.put(row.message_id, row.raw, transactional=True, answer=row.answer)
