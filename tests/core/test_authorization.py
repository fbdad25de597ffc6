"""Who may charge when nobody but the box can say: list, cache, tags, the other chargers' cache, policy."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.core.authorization import TokenPolicy
from edgegw.core.effects import SendCloud
from edgegw.core.records import SaveDocument
from tests.core.story import V16, V21, V201, Story, away, event, online, start, stop, story, time_at

ACCEPTED = {"status": "Accepted"}
BLOCKED = {"status": "Blocked"}


def asks(told: Story, tag: str = "TAG") -> str:
    """Authorize at once, in whatever version; returns the status."""
    if told.version.is_2x:
        token = {"idToken": tag, "type": "ISO14443"}
        return str(told.charger.asks("Authorize", {"idToken": token})["idTokenInfo"]["status"])
    return str(told.charger.asks("Authorize", {"idTag": tag})["idTagInfo"]["status"])


def cached(told: Story, tag: str, info: dict[str, Any]) -> None:
    """The cloud says this of the tag."""
    if told.version.is_2x:
        told.charger.sends("Authorize", {"idToken": {"idToken": tag, "type": "ISO14443"}})
        told.cloud.answers({"idTokenInfo": info})
    else:
        told.charger.sends("Authorize", {"idTag": tag})
        told.cloud.answers({"idTagInfo": info})


def listed(told: Story, update: str, version: int, *entries: tuple[str, dict[str, Any] | None]) -> None:
    """SendLocalList, accepted by the charger."""
    items: list[dict[str, Any]] = []
    for tag, info in entries:
        item: dict[str, Any] = {"idTag": tag}
        if told.version.is_2x:
            item = {"idToken": {"idToken": tag, "type": "ISO14443"}}
        if info is not None:
            item["idTokenInfo" if told.version.is_2x else "idTagInfo"] = info
        items.append(item)
    number = "versionNumber" if told.version.is_2x else "listVersion"
    payload = {number: version, "updateType": update, "localAuthorizationList": items}
    told.cloud.sends("SendLocalList", payload)
    told.charger.answers(ACCEPTED)


# --- unknown tags ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "status"), [(V16, "Invalid"), (V201, "Unknown"), (V21, "Unknown")])
def test_a_tag_nobody_has_heard_of_is_refused(version, status):
    assert asks(away(version)) == status


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_a_tag_nobody_has_heard_of_is_accepted_if_the_operator_wants_that(version):
    told = away(version, tokens=TokenPolicy(accept_unknown=True))
    assert asks(told) == "Accepted"
    assert told.core.state.authorization.summary()["cached"] == 0  # 2.x C15.FR.01


def test_a_start_with_an_unknown_tag_is_stored_and_only_its_tag_refused():
    told = away()
    answer = told.charger.asks("StartTransaction", start(tag="ELSE"))
    assert answer["idTagInfo"] == {"status": "Invalid"}
    assert answer["transactionId"] > 0
    assert len(told.stored) == 1


def test_fault_40_what_was_decided_on_and_why_is_on_the_row():
    told = online(tokens=TokenPolicy(accept_unknown=True))
    cached(told, "KNOWN", ACCEPTED)
    cached(told, "BAD", BLOCKED)
    told.cloud.goes_away()
    for connector, tag in enumerate(("KNOWN", "BAD", "ELSE"), start=1):
        told.charger.sends("StartTransaction", start(connector, tag))
    known, bad, unknown = (row.flags for row in told.stored)
    assert "tag_accepted" in known
    assert "tag_blocked" in bad
    assert "tag_accepted" in unknown
    assert "tag_unknown" in unknown  # a revenue risk that people must see
    assert "tag_unknown" not in known


@pytest.mark.parametrize("version", [V201, V21])
def test_fault_40_the_same_for_an_event_of_2x(version):
    told = away(version, tokens=TokenPolicy(accept_unknown=True))
    told.charger.sends("TransactionEvent", event("Started", token="ELSE"))
    told.charger.sends("TransactionEvent", event("Updated", seq=1))
    first, second = (row.flags for row in told.stored)
    assert {"tag_accepted", "tag_unknown"} <= set(first)
    assert not any(flag.startswith("tag_") for flag in second)


# --- cache ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_what_the_cloud_said_last_of_a_tag_counts(version):
    told = online(version)
    cached(told, "TAG", ACCEPTED)
    cached(told, "GONE", ACCEPTED)
    cached(told, "GONE", BLOCKED)
    told.cloud.goes_away()
    assert asks(told, "TAG") == "Accepted"
    assert asks(told, "GONE") == "Blocked"


def test_a_refused_tag_stays_refused_whatever_the_policy_for_unknown_ones():
    told = online(tokens=TokenPolicy(accept_unknown=True))
    cached(told, "BAD", BLOCKED)
    told.cloud.goes_away()
    assert asks(told, "BAD") == "Blocked"


def test_tags_of_16_are_compared_without_case():
    told = online()
    cached(told, "AbCd", ACCEPTED)
    told.cloud.goes_away()
    assert asks(told, "aBcD") == "Accepted"


def test_tokens_of_2x_are_compared_with_their_type_and_without_additional_info():
    told = online(V201)
    told.charger.sends("Authorize", {"idToken": {"idToken": "T", "type": "eMAID"}})
    told.cloud.answers({"idTokenInfo": ACCEPTED})
    told.cloud.goes_away()
    more = {"idToken": "T", "type": "eMAID", "additionalInfo": [{"additionalIdToken": "x", "type": "y"}]}
    assert told.charger.asks("Authorize", {"idToken": more})["idTokenInfo"]["status"] == "Accepted"
    other = {"idToken": "T", "type": "ISO14443"}
    assert told.charger.asks("Authorize", {"idToken": other})["idTokenInfo"]["status"] == "Unknown"


def test_every_answer_about_a_tag_is_learned_from_and_not_only_authorize():
    told = online()
    told.charger.sends("StartTransaction", start(tag="A"))
    told.cloud.answers({"transactionId": 5, "idTagInfo": ACCEPTED})
    told.charger.sends("StopTransaction", stop(5, idTag="B"))
    told.cloud.answers({"idTagInfo": ACCEPTED})
    told.cloud.goes_away()
    assert (asks(told, "A"), asks(told, "B")) == ("Accepted", "Accepted")


@pytest.mark.parametrize("version", [V16, V201])
def test_an_expiry_that_has_passed_makes_a_tag_expired(version):
    key = "cacheExpiryDateTime" if version.is_2x else "expiryDate"
    told = online(version)
    cached(told, "OLD", ACCEPTED | {key: time_at(3600)})
    told.cloud.goes_away()
    assert asks(told, "OLD") == "Accepted"
    told.wall += 7200
    assert asks(told, "OLD") in ("Expired", "Unknown")


def test_a_clock_that_cannot_be_right_expires_nobody():
    told = online()
    cached(told, "TAG", ACCEPTED | {"expiryDate": time_at(3600)})
    told.cloud.goes_away()
    told.wall, told.clock_trusted = told.wall + 10 * 365 * 86_400, False
    assert asks(told) == "Accepted"


def test_a_cache_entry_beyond_its_lifetime_is_unknown():
    told = online(tokens=TokenPolicy(cache_lifetime_s=86_400))
    cached(told, "TAG", ACCEPTED)
    told.cloud.goes_away()
    told.wall += 2 * 86_400
    assert asks(told) == "Invalid"


def test_a_tag_that_was_busy_elsewhere_is_a_good_tag():
    """ConcurrentTx is about that moment: 1.6 counts it as valid when nobody can be asked."""
    told = online()
    cached(told, "TAG", {"status": "ConcurrentTx"})
    told.cloud.goes_away()
    assert asks(told) == "Accepted"


def test_clear_cache_clears_ours_too_even_if_the_charger_has_none():
    told = online()
    cached(told, "TAG", ACCEPTED)
    told.cloud.sends("ClearCache")
    told.charger.answers({"status": "Rejected"})
    told.cloud.goes_away()
    assert asks(told) == "Invalid"
    told.restart()
    told.charger.connects()
    assert asks(told) == "Invalid"


def test_the_cache_survives_a_restart():
    told = online()
    cached(told, "TAG", ACCEPTED)
    told.restart()
    told.charger.connects()
    assert asks(told) == "Accepted"


def test_the_cache_is_bounded_and_lets_a_refused_tag_go_first():
    told = online()
    cached(told, "BAD", BLOCKED)
    cached(told, "FIRST", ACCEPTED)
    for n in range(999):
        cached(told, f"T{n}", ACCEPTED)
    told.cloud.goes_away()
    assert (asks(told, "FIRST"), asks(told, "BAD")) == ("Accepted", "Invalid")


# --- list -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_the_list_counts_more_than_the_cache(version):
    told = online(version)
    cached(told, "TAG", ACCEPTED)
    listed(told, "Full", 1, ("TAG", BLOCKED))
    told.cloud.goes_away()
    assert asks(told) == "Blocked"


def test_what_the_cloud_says_of_a_listed_tag_does_not_change_the_list():
    told = online()
    listed(told, "Full", 1, ("TAG", ACCEPTED))
    cached(told, "TAG", BLOCKED)
    told.cloud.goes_away()
    assert asks(told) == "Accepted"


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_a_differential_update_adds_changes_and_deletes(version):
    told = online(version)
    listed(told, "Full", 1, ("A", ACCEPTED), ("B", ACCEPTED), ("C", ACCEPTED))
    listed(told, "Differential", 2, ("B", BLOCKED), ("C", None), ("D", ACCEPTED))
    told.cloud.goes_away()
    unknown = "Unknown" if version.is_2x else "Invalid"
    assert [asks(told, tag) for tag in "ABCD"] == ["Accepted", "Blocked", unknown, "Accepted"]
    assert told.core.state.authorization.list_version == 2
    told.restart()
    told.charger.connects()
    assert [asks(told, tag) for tag in "ABCD"] == ["Accepted", "Blocked", unknown, "Accepted"]
    assert told.core.state.authorization.list_version == 2


def test_a_full_update_replaces_and_one_without_entries_empties_the_list():
    told = online()
    listed(told, "Full", 1, ("A", ACCEPTED))
    listed(told, "Full", 2, ("B", ACCEPTED))
    told.cloud.goes_away()
    assert (asks(told, "A"), asks(told, "B")) == ("Invalid", "Accepted")
    told.cloud.comes_back()
    told.cloud.sends("SendLocalList", {"listVersion": 3, "updateType": "Full"})
    told.charger.answers(ACCEPTED)
    told.cloud.goes_away()
    assert asks(told, "B") == "Invalid"
    assert told.core.state.authorization.summary()["listed"] == 0


@pytest.mark.parametrize("version", [V16, V201])
def test_the_cloud_hears_of_a_list_when_it_is_on_disk(version):
    """Nobody sends it a second time: a power cut may not take what the cloud believes is set."""
    told = online(version)
    told.forget()
    listed(told, "Full", 1, ("A", ACCEPTED))
    saved = [n for n, effect in enumerate(told.effects) if isinstance(effect, SaveDocument)]
    sent = next(n for n, effect in enumerate(told.effects) if isinstance(effect, SendCloud))
    assert saved
    assert max(saved) < sent
    assert all(told.effects[n].durable for n in saved)


@pytest.mark.parametrize("outcome", ["Failed", "NotSupported", "VersionMismatch"])
def test_a_list_the_charger_did_not_take_is_not_taken_here(outcome):
    told = online()
    told.cloud.sends(
        "SendLocalList",
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": "A", "idTagInfo": ACCEPTED}],
        },
    )
    told.charger.answers({"status": outcome})
    told.cloud.goes_away()
    assert asks(told, "A") == "Invalid"


# --- tags of the site file, cache of the site -----------------------------------------------------


def test_the_site_s_own_tags_come_after_what_the_cloud_said():
    told = online(tokens=TokenPolicy(tags={"mine": "Accepted", "tag": "Accepted"}))
    cached(told, "TAG", BLOCKED)
    told.cloud.goes_away()
    assert (asks(told, "MINE"), asks(told, "TAG")) == ("Accepted", "Blocked")


@pytest.mark.parametrize(("opted_in", "status"), [(True, "Accepted"), (False, "Invalid")])
def test_what_another_charger_learned_counts_only_if_the_operator_opted_in(opted_in, status):
    told = online(tokens=TokenPolicy(site_cache=opted_in))
    other = Story(V16, told.policy, identity="CP-2", beside=told)
    cached(told, "TAG", ACCEPTED)
    other.cloud.comes_back()
    other.charger.connects()
    other.charger.sends("Heartbeat")
    other.cloud.answers({"currentTime": time_at()})
    other.cloud.goes_away()
    assert asks(other) == status


def test_a_refusal_that_is_about_one_place_is_not_shared():
    told = online(V201, tokens=TokenPolicy(site_cache=True, accept_unknown=True))
    other = Story(V201, told.policy, identity="CP-2", beside=told)
    cached(told, "TAG", {"status": "NotAtThisLocation"})
    other.cloud.comes_back()
    other.charger.connects()
    other.charger.sends("Heartbeat")
    other.cloud.answers({"currentTime": time_at()})
    other.cloud.goes_away()
    assert asks(other) == "Accepted"


# --- who is asked first ---------------------------------------------------------------------------


def test_cloud_first_asks_the_cloud_whatever_the_lists_say():
    told = online(mode="cloud_first")
    cached(told, "TAG", ACCEPTED)
    told.forget()
    told.charger.sends("Authorize", {"idTag": "TAG"})
    assert told.cloud.actions == ["Authorize"]


def test_local_first_answers_what_the_lists_accept_and_asks_the_cloud_about_the_rest():
    told = online(mode="local_first")
    cached(told, "TAG", ACCEPTED)
    cached(told, "BAD", BLOCKED)
    told.forget()
    assert asks(told, "TAG") == "Accepted"
    assert told.cloud.actions == []
    told.charger.sends("Authorize", {"idTag": "BAD"})
    told.cloud.answers({"idTagInfo": BLOCKED})
    told.charger.sends("Authorize", {"idTag": "ELSE"})
    assert told.cloud.actions == ["Authorize", "Authorize"]


def test_local_only_never_asks_the_cloud_about_a_tag():
    told = online(mode="local_only", tokens=TokenPolicy(tags={"mine": "Accepted"}))
    assert (asks(told, "MINE"), asks(told, "ELSE")) == ("Accepted", "Invalid")
    assert told.cloud.actions == []


@pytest.mark.parametrize("version", [V201, V21])
def test_a_certificate_is_always_for_the_cloud_to_check(version):
    told = online(version, mode="local_first")
    cached(told, "TAG", ACCEPTED)
    told.forget()
    payload = {
        "idToken": {"idToken": "TAG", "type": "ISO14443"},
        "iso15118CertificateHashData": [{"hashAlgorithm": "SHA256"}],
    }
    told.charger.sends("Authorize", payload)
    assert told.cloud.actions == ["Authorize"]
    told.cloud.goes_away()
    assert told.charger.frames[-1][0] == 4  # C07: the charger has its own way out


@pytest.mark.parametrize("version", [V201, V21])
def test_a_start_button_needs_no_tag(version):
    told = away(version)
    payload = {"idToken": {"idToken": "", "type": "NoAuthorization"}}
    assert told.charger.asks("Authorize", payload)["idTokenInfo"]["status"] == "Accepted"


# --- one transaction per tag ----------------------------------------------------------------------


def test_one_transaction_per_tag_is_enforced_only_if_the_operator_wants_it():
    for wanted, status in ((True, "ConcurrentTx"), (False, "Accepted")):
        told = away(one_transaction_per_tag=wanted, tokens=TokenPolicy(tags={"tag": "Accepted"}))
        first = told.charger.asks("StartTransaction", start(1))
        second = told.charger.asks("StartTransaction", start(2))
        assert first["idTagInfo"]["status"] == "Accepted"
        assert second["idTagInfo"]["status"] == status


def test_one_transaction_per_tag_holds_for_2x_too():
    told = away(V201, one_transaction_per_tag=True, tokens=TokenPolicy(tags={"tag": "Accepted"}))
    first = told.charger.asks("TransactionEvent", event("Started", "tx-1", token="TAG"))
    second = told.charger.asks("TransactionEvent", event("Started", "tx-2", token="TAG"))
    ended = told.charger.asks("TransactionEvent", event("Ended", "tx-1", 1, token="TAG"))
    states = [answer["idTokenInfo"]["status"] for answer in (first, second, ended)]
    assert states == ["Accepted", "ConcurrentTx", "Accepted"]


def test_who_orders_a_start_vouches_for_its_tag():
    told = online()
    told.cloud.sends("RemoteStartTransaction", {"idTag": "GUEST", "connectorId": 1})
    told.charger.answers(ACCEPTED)
    told.cloud.goes_away()
    assert told.charger.asks("StartTransaction", start(tag="GUEST"))["idTagInfo"]["status"] == "Accepted"


def test_an_order_to_start_does_not_clear_a_blocked_tag():
    told = online()
    cached(told, "BAD", BLOCKED)
    told.cloud.sends("RemoteStartTransaction", {"idTag": "BAD", "connectorId": 1})
    told.charger.answers(ACCEPTED)
    told.cloud.goes_away()
    assert asks(told, "BAD") == "Blocked"


def test_a_tag_that_is_no_text_is_refused():
    told = story(standalone=True)
    told.charger.connects()
    for odd in (5, None, [], {}):
        assert told.charger.asks("Authorize", {"idTag": odd})["idTagInfo"]["status"] == "Invalid"
