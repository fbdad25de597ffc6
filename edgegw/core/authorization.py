"""Who may charge when nobody but the box can say.

Order (OCPP 1.6 3.5, 2.x C and D): the charger's local list, that charger's cache, the site's own tag
table, the cache of the other chargers if the operator opted in, then the policy for unknown tags.
The list is changed by SendLocalList only, the cache by every idTagInfo / idTokenInfo seen. An entry
that says no is obeyed: the policy is for tags nobody has heard of (1.6 AllowOfflineTxForUnknownId).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec

from edgegw.core.events import Instant
from edgegw.core.records import Document, SaveDocument
from edgegw.wire.timestamps import parse_timestamp
from edgegw.wire.versions import Version

CACHE_ENTRIES_MAX = 1000  # per charger; beyond it a refused entry goes first, then the oldest
LIST_ENTRIES_MAX = 100_000  # a list beyond this is not mirrored; the charger has its own copy

# Answers that hold for one place only; another charger must not borrow them (2.x C, AuthorizationStatus).
_STATION_SPECIFIC = frozenset({"NotAtThisLocation", "NotAtThisTime", "NotAllowedTypeEVSE", "ConcurrentTx"})


class Token(msgspec.Struct, frozen=True, gc=False):
    """A tag as compared: `id` case-folded (CiString / identifierString), `type` "" in 1.6."""

    id: str
    type: str = ""

    @property
    def key(self) -> str:
        return f"{self.type}|{self.id}"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What was said of a token: `info` is the idTagInfo / idTokenInfo object as it came."""

    info: dict[str, Any]
    learned_at: float  # wall clock, seconds; 0 while the clock could not be trusted: of no known age


class Decision(msgspec.Struct, frozen=True):
    info: dict[str, Any]  # to put into idTagInfo / idTokenInfo
    source: str  # "list", "cache", "tags", "site cache", "policy"

    @property
    def accepted(self) -> bool:
        return self.info.get("status") == "Accepted"


class TokenPolicy(msgspec.Struct, frozen=True, kw_only=True):
    accept_unknown: bool = False
    site_cache: bool = False
    cache_lifetime_s: float = 14 * 86400.0
    tags: dict[str, str] = {}  # case-folded id -> status


def token_1x(id_tag: object) -> Token | None:
    return Token(id_tag.casefold()) if isinstance(id_tag, str) else None


def token_2x(id_token: object) -> Token | None:
    """additionalInfo is not compared (2.0.1 errata, C01.FR.25)."""
    if not isinstance(id_token, dict) or not isinstance(id_token.get("idToken"), str):
        return None
    return Token(id_token["idToken"].casefold(), str(id_token.get("type", "")))


class Cache:
    """Newest answers first out last; bounded. Also used for the whole site."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: Token) -> Entry | None:
        return self._entries.get(token.key)

    def put(self, key: str, entry: Entry) -> str | None:
        """Returns the key that had to go, if one had to."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) <= CACHE_ENTRIES_MAX:
            return None
        refused = (k for k, e in self._entries.items() if e.info.get("status") != "Accepted" and k != key)
        gone = next(refused, None) or next(iter(self._entries))
        del self._entries[gone]
        return gone

    def newest(self) -> Iterator[tuple[str, Entry]]:
        yield from reversed(self._entries.items())

    def drop(self, key: str) -> bool:
        return self._entries.pop(key, None) is not None

    def clear(self) -> list[str]:
        keys = list(self._entries)
        self._entries.clear()
        return keys


class Authorization:
    """The lists of one charger."""

    __slots__ = ("_cache", "_charger", "_list", "_policy", "_site_cache", "list_version")

    def __init__(self, charger: str, policy: TokenPolicy, site_cache: Cache) -> None:
        self._charger = charger
        self._policy = policy
        self._site_cache = site_cache
        self._list: dict[str, dict[str, Any]] = {}
        self._cache = Cache()
        self.list_version = 0

    # --- decide ----------------------------------------------------------------------------------

    def decide(self, token: Token, now: Instant, *, fresh: bool = False) -> Decision:
        """What the charger is told of `token` now. `fresh`: no unknown-tag policy, say "Unknown"."""
        for source, info in self._found(token, now):
            return Decision(_as_of(info, now), source)
        status = "Accepted" if self._policy.accept_unknown and not fresh else "Invalid"
        if token.type and not self._policy.accept_unknown:
            status = "Unknown"  # 2.x tells unknown from invalid
        return Decision({"status": status}, "policy")

    def knows(self, token: Token, now: Instant) -> bool:
        return next(self._found(token, now), None) is not None

    def _found(self, token: Token, now: Instant) -> Iterator[tuple[str, dict[str, Any]]]:
        listed = self._list.get(token.key)
        if listed is not None:
            yield "list", listed
            return  # a listed token is never looked up elsewhere (1.6 3.5.2)
        cached = self._cache.get(token)
        if cached is not None and self._alive(cached, now):
            yield "cache", cached.info
        status = self._policy.tags.get(token.id)
        if status is not None:
            yield "tags", {"status": status}
        if self._policy.site_cache:
            shared = self._site_cache.get(token)
            if shared is not None and self._alive(shared, now):
                yield "site cache", shared.info

    def _alive(self, entry: Entry, now: Instant) -> bool:
        # Neither an untrusted clock nor its first good time may expire every card at once.
        return (
            not now.trusted
            or not entry.learned_at
            or now.wall - entry.learned_at <= self._policy.cache_lifetime_s
        )

    # --- learn -----------------------------------------------------------------------------------

    def learn(self, token: Token, info: object, now: Instant) -> list[SaveDocument]:
        """Every idTagInfo / idTokenInfo the cloud gives, good or bad (1.6 3.5.1, 2.x C10)."""
        if not isinstance(info, dict) or not isinstance(info.get("status"), str):
            return []
        entry = Entry(info, now.wall if now.trusted else 0.0)
        if self._policy.site_cache and info["status"] not in _STATION_SPECIFIC:
            self._site_cache.put(token.key, entry)
        if token.key in self._list:
            return []  # listed ids are not cached (1.6 3.5.2)
        gone = self._cache.put(token.key, entry)
        saved = [self._save("cache", token.key, msgspec.json.encode(entry))]
        if gone is not None:
            saved.append(self._save("cache", gone, None))
        return saved

    def cleared(self) -> list[SaveDocument]:
        """ClearCache passed to the charger (2.x C11); ours goes even if the charger has none."""
        return [self._save("cache", key, None) for key in self._cache.clear()]

    def list_sent(self, version: Version, request: dict[str, Any]) -> list[SaveDocument]:
        """The charger accepted this SendLocalList.req: mirror it (1.6 5.15, 2.x D01)."""
        full = request.get("updateType") == "Full"
        entries = request.get("localAuthorizationList") or []
        number = request.get("versionNumber" if version.is_2x else "listVersion")
        if not isinstance(entries, list) or len(entries) > LIST_ENTRIES_MAX:
            return []
        saved: list[SaveDocument] = []
        if full:
            saved += [self._save("list", key, None) for key in self._list]
            self._list.clear()
        for item in entries:
            saved += self._list_entry(version, item)
        self.list_version = number if isinstance(number, int) else self.list_version
        saved.append(self._save("list_version", "", msgspec.json.encode(self.list_version)))
        return saved

    def _list_entry(self, version: Version, item: object) -> list[SaveDocument]:
        if not isinstance(item, dict):
            return []
        token = token_2x(item.get("idToken")) if version.is_2x else token_1x(item.get("idTag"))
        if token is None:
            return []
        info = item.get("idTokenInfo" if version.is_2x else "idTagInfo")
        if not isinstance(info, dict):
            self._list.pop(token.key, None)  # differential: an entry without info is a deletion
            return [self._save("list", token.key, None)]
        self._list[token.key] = info
        saved = [self._save("list", token.key, msgspec.json.encode(info))]
        if self._cache.drop(token.key):
            saved.append(self._save("cache", token.key, None))
        return saved

    # --- keep ------------------------------------------------------------------------------------

    def recover(self, document: Document) -> None:
        if document.kind == "list":
            self._list[document.key] = msgspec.json.decode(document.value)
        elif document.kind == "cache":
            entry = msgspec.json.decode(document.value, type=Entry)
            self._cache.put(document.key, entry)
            if self._policy.site_cache and entry.info.get("status") not in _STATION_SPECIFIC:
                self._site_cache.put(document.key, entry)
        elif document.kind == "list_version":
            self.list_version = msgspec.json.decode(document.value)

    def documents(self) -> Iterator[SaveDocument]:
        """What is kept of list and cache, as `recover` reads it; the newest of the cache first."""
        yield self._save("list_version", "", msgspec.json.encode(self.list_version))
        for key, entry in self._cache.newest():
            yield self._save("cache", key, msgspec.json.encode(entry))
        for key, info in self._list.items():
            yield self._save("list", key, msgspec.json.encode(info))

    def _save(self, kind: str, key: str, value: bytes | None) -> SaveDocument:
        durable = kind != "cache"  # a list is sent once; what is cached is learned again
        return SaveDocument(kind=kind, charger=self._charger, key=key, value=value, durable=durable)

    def summary(self) -> dict[str, int]:
        return {"list_version": self.list_version, "listed": len(self._list), "cached": len(self._cache)}


def _as_of(info: dict[str, Any], now: Instant) -> dict[str, Any]:
    """The stored info as it counts now: a tag that was busy then is a good tag, one that expired is not.

    ConcurrentTx was about that moment (1.6 7.2); expiryDate is 1.6 7.8, cacheExpiryDateTime 2.x C10.
    """
    if info.get("status") == "ConcurrentTx":
        info = {**info, "status": "Accepted"}
    expires = info.get("expiryDate") or info.get("cacheExpiryDateTime")
    if not isinstance(expires, str) or not now.trusted or info.get("status") != "Accepted":
        return info
    parsed = parse_timestamp(expires)
    if parsed is None or parsed[0] > now.wall:
        return info
    return {**info, "status": "Expired"}
