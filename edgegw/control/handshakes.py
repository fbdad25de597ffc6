"""Connections of one charger that came to nothing: found by its name and its address, with what to do.

Rules of this file:
- Whoever has no name yet (TLS, a wrong path) is known by its address alone, and the words say so. Chargers
  behind one router share an address: what happened there tells nothing of one of them, and is left out.
- The same reason again is one line: the newest, and how many times.
- The reasons are those of `runtime.entrance` and `links`; the words for what to do stand in one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgegw.control import models
from edgegw.redaction import plain
from edgegw.runtime.entrance import Notice
from edgegw.runtime.session import Session
from edgegw.wire.timestamps import format_timestamp

SHOWN_MAX = 20

# Part of a reason -> what to do. The first that fits counts.
_TODO: tuple[tuple[str, str], ...] = (
    ("path is not below", "set the path of the URL in the charger as [chargers] path of the site file says"),
    ("no identity in the path", "the URL in the charger must end with its identity"),
    ("identity has characters", "give the charger an identity of letters, digits and - _ . only"),
    ("identity is not ASCII", "give the charger an identity of letters, digits and - _ . only"),
    ("identity may have", "give the charger an identity of at most 48 letters, digits and - _ . only"),
    ("unknown charger", "accept it (edgegw commission), add it to [chargers] known, or correct its identity"),
    (
        "another connection of this identity",
        "is another charger set to the same identity? Else wait a minute",
    ),
    ("another connection of it", "it dials twice at once; it will try again by itself"),
    ("the cloud: 401", "its password is not the one the cloud knows: set it anew in charger and cloud"),
    ("the cloud: 404", "the cloud does not know this identity: add it there, or correct it in the charger"),
    ("the cloud: 403", "the cloud does not let this charger in: look at its entry there"),
    ("401: the cloud", "its password is not the one the cloud knows: set it anew in charger and cloud"),
    ("404: the cloud", "the cloud does not know this identity: add it there, or correct it in the charger"),
    ("403: the cloud", "the cloud does not let this charger in: look at its entry there"),
    ("wrong password", "set the password in the charger anew; what the cloud took last is what counts here"),
    ("the cloud is away", "with [cloud] on_loss = drop_charger it waits for the cloud; look at that link"),
    (
        "no common subprotocol",
        "set the charger to OCPP 1.6 JSON, 2.0.1 or 2.1; it offered none that both know",
    ),
    (
        "plain HTTP on the TLS port",
        "let the charger dial wss:// on this port, or ws:// on the one without TLS",
    ),
    ("TLS on the port without TLS", "let the charger dial ws:// on this port, or wss:// on the TLS port"),
    ("does not speak TLS", "let the charger dial wss:// on this port, or ws:// on the one without TLS"),
    ("older than 1.2", "its firmware knows no TLS 1.2: update it, or let it dial the port without TLS"),
    ("does not trust the authority", "install the certificate of our authority in the charger"),
    ("certificate expired", "renew the certificate of this box; is the clock of the charger right?"),
    (
        "refuses our certificate",
        "does the URL in the charger name what our certificate names? Is its clock right?",
    ),
    ("TLS", "look at certificates and clocks of both sides"),
    ("too many unfinished handshakes", "something at this address opens connections without speaking"),
    ("chargers are known already", "too many identities knocked here; set [chargers] known"),
    ("no decision in time", "the cloud took too long to answer; it will try again"),
    ("no complete request", "it connected and said nothing: is it really an OCPP charger, is the line good?"),
    (
        "left without a request",
        "it connected and said nothing: is it really an OCPP charger, is the line good?",
    ),
    ("HTTP", "what dials here does not speak OCPP over WebSocket: look at what has this address"),
)


def todo_of(reason: str) -> str:
    return next((todo for part, todo in _TODO if part in reason), "")


def failures_of(
    failures: Iterable[Notice], identity: str, addresses: Iterable[str]
) -> Iterator[models.Notice]:
    """Newest first. `addresses`: where the charger was seen."""
    seen = {address for address in addresses if address}
    for notice in reversed(tuple(failures)):
        if notice.charger == identity:
            yield _told(notice, "")
        elif (notice.peer or notice.charger) in seen:
            as_whom = "" if notice.charger == notice.peer else f" as {plain(notice.charger)!r}"
            yield _told(notice, f"from its address {notice.peer}{as_whom}: ")


def addresses_of(failures: Iterable[Notice], session: Session | None, identity: str) -> set[str]:
    """Where it connected from last, and from where somebody knocked with its name."""
    known = {notice.peer for notice in failures if notice.charger == identity and notice.peer}
    if session is not None and session.peer_ip:
        known.add(session.peer_ip)
    return known


def newest(
    failures: Iterable[Notice], session: Session | None, identity: str, others: Iterable[str] = ()
) -> tuple[models.Notice, ...]:
    """At most SHOWN_MAX. `others`: the addresses of the other chargers that are connected now."""
    kept = tuple(failures)
    addresses = addresses_of(kept, session, identity) - set(others)
    times: dict[str, int] = {}
    firsts: dict[str, models.Notice] = {}
    for notice in failures_of(kept, identity, addresses):
        times[notice.text] = times.get(notice.text, 0) + 1
        firsts.setdefault(notice.text, notice)
    found = [_counted(notice, times[text]) for text, notice in firsts.items()]
    return tuple(found[:SHOWN_MAX])


def _counted(notice: models.Notice, times: int) -> models.Notice:
    return notice if times == 1 else notice.model_copy(update={"text": f"{notice.text} ({times} times)"})


def _told(notice: Notice, before: str) -> models.Notice:
    todo = todo_of(notice.text)
    text = f"{before}{plain(notice.text)}{f'. {todo[0].upper()}{todo[1:]}' if todo else ''}"
    return models.Notice(at=format_timestamp(notice.at), charger=notice.charger, kind=notice.kind, text=text)
