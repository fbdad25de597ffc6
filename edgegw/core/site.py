"""What all chargers of the site share: policies, the cloud's time, local transaction ids, counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from edgegw.core.authorization import Cache, TokenPolicy
from edgegw.core.events import Instant
from edgegw.core.files import NO_FILES, FilesPolicy
from edgegw.core.power import NOT_BALANCED, PowerPolicy
from edgegw.core.records import Document, SaveDocument
from edgegw.core.transactions import LOCAL_ID_FIRST, LOCAL_ID_LAST
from edgegw.wire.timestamps import format_timestamp, parse_timestamp


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the site file decides; seconds throughout."""

    standalone: bool = False  # no cloud at all
    serve_locally: bool = True  # [cloud] on_loss
    accept_unknown_chargers: bool = False
    mode: str = "cloud_first"  # [authorization] mode
    tokens: TokenPolicy = TokenPolicy()
    one_transaction_per_tag: bool = False
    cloud_answer_timeout_s: float = 20.0  # then a charger is answered here
    charger_answer_timeout_s: float = 30.0
    heartbeat_interval_s: int = 300
    message_attempts: int = 3
    message_retry_interval_s: float = 60.0
    replay_boot_always: bool = False
    replay_unlimited: bool = False
    adopt_moves: bool = False  # [cloud] moves
    gateway_url: str = ""  # what a charger must dial to reach this box; "" when not known

    @property
    def cloud_give_up_s(self) -> float:
        """How long a CALL may stay unanswered before the leg is taken for dead.

        Half as long again as the charger's patience: a cloud that is always a little late keeps its
        leg, its late answers count and nothing is sent twice.
        """
        return self.cloud_answer_timeout_s * 1.5


class Site:
    __slots__ = ("_cloud_time", "_local_id", "counters", "files", "new_id", "policy", "power", "site_cache")

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        power: PowerPolicy = NOT_BALANCED,
        files: FilesPolicy = NO_FILES,
    ) -> None:
        """`new_id` gives message ids for CALLs of the box: UUIDs in production, a counter in tests."""
        self.policy = policy
        self.new_id = new_id
        self.power = power
        self.files = files
        self.site_cache = Cache()
        self.counters: Counter[str] = Counter()
        self._local_id = LOCAL_ID_FIRST - 1
        self._cloud_time: tuple[float, float] | None = None  # (mono, wall) when it told us

    # --- local transaction ids -------------------------------------------------------------------

    def next_local_id(self, in_use: Callable[[int], bool]) -> tuple[int, SaveDocument]:
        """An id that is not `in_use` at this charger, and the record that keeps it from being given again."""
        self._local_id = self._one_further()
        while in_use(self._local_id):
            self._local_id = self._one_further()
        return self._local_id, self._local_id_record()

    def cloud_took_id(self, cloud_id: int) -> list[SaveDocument]:
        """A cloud gave out an id of our range: step over it, before a charger knows two of one id."""
        if not self._local_id < cloud_id <= LOCAL_ID_LAST:
            return []
        self._local_id = cloud_id
        return [self._local_id_record()]

    def _local_id_record(self) -> SaveDocument:
        value = msgspec.json.encode(self._local_id)
        return SaveDocument(kind="local_id", charger="", key="", value=value)

    def _one_further(self) -> int:
        return LOCAL_ID_FIRST if self._local_id >= LOCAL_ID_LAST else self._local_id + 1

    @property
    def last_local_id(self) -> int:
        return self._local_id

    def skip_local_ids(self, count: int) -> SaveDocument:
        """Never give the next `count` ids: a store that was restored does not know who has them."""
        size = LOCAL_ID_LAST - LOCAL_ID_FIRST + 1
        self._local_id = LOCAL_ID_FIRST + (self._local_id - LOCAL_ID_FIRST + count) % size
        return self._local_id_record()

    def local_id_seen(self, local: int) -> None:
        self._local_id = max(self._local_id, local)

    # --- time ------------------------------------------------------------------------------------

    def cloud_told_time(self, text: object, now: Instant) -> None:
        """currentTime of a BootNotification.conf or Heartbeat.conf that makes sense."""
        parsed = parse_timestamp(text) if isinstance(text, str) else None
        if parsed is not None and "clock_suspect" not in parsed[1]:
            self._cloud_time = (now.mono, parsed[0])

    def time_text(self, now: Instant) -> str:
        """The time for a charger: our clock if it can be trusted, else the cloud's last one carried on."""
        if now.trusted or self._cloud_time is None:
            return format_timestamp(now.wall)
        mono, wall = self._cloud_time
        return format_timestamp(wall + now.mono - mono)

    # --- keep ------------------------------------------------------------------------------------

    def recover(self, documents: tuple[Document, ...]) -> None:
        for document in documents:
            if document.kind == "local_id":
                self.local_id_seen(msgspec.json.decode(document.value, type=int))
