"""Seeds with a history: what each found in the core, and the planted faults they are known to show."""

from __future__ import annotations

from typing import NamedTuple


class Regression(NamedTuple):
    seed: int
    relapse: str  # the fault as it can be planted again
    found: str


REGRESSIONS = (
    Regression(
        3,
        "late_answer_goes_to_the_next_cloud_leg",
        "an answer that the box had given up went to a cloud leg on which nobody had asked",
    ),
    Regression(
        5,
        "queue_held_for_ever_by_a_pending_boot",
        "the cloud answered Pending to a stored boot; the charger, told Accepted, never booted again",
    ),
    Regression(
        7,
        "cards_expire_when_the_clock_is_set",
        "cards learned before the clock was set were 26 years old a moment later",
    ),
    Regression(
        15,
        "boot_refused_because_its_id_was_used_before_the_boot",
        "a charger that counts its ids from 1 was refused its boot because of an older Stop with that id",
    ),
    Regression(
        25,
        "pairs_forgotten_when_the_clock_is_set",
        "id pairs made before the clock was set were forgotten, and local ids reached the cloud",
    ),
    Regression(
        52,
        "cloud_ids_of_the_local_range_given_again",
        "the box gave out an id under which messages of a transaction of the cloud's still waited",
    ),
    Regression(
        108,
        "stale_effects_reach_the_next_leg",
        "a slow disk held an answer until the charger was on another connection, and it went there",
    ),
    Regression(
        193,
        "dead_session_still_writes",
        "a session whose commit had failed stored one more row behind the back of its successor",
    ),
    Regression(
        269,
        "giving_up_goes_round_in_circles",
        "while the disk was busy, a CALL past its deadline woke the charger's session without end",
    ),
)

KNOWN: dict[str, tuple[int, ...]] = {
    "answer_before_append": (0, 1),
    "answer_without_waiting_for_the_disk": (0, 2),
    "failed_commit_taken_for_done": (1, 4),
    "stale_effects_reach_the_next_leg": (108,),
    "id_not_rewritten_upwards": (1, 2),
    "id_not_rewritten_downwards": (1, 6),
    "pairs_not_restored": (5, 22),
    "local_id_given_twice": (1, 5),
    "a_number_written_anew": (0, 4),
    "offline_flag_forgotten": (0, 4),
    "every_transaction_id_in_sight_rewritten": (5, 6),
    "renumbered_id_not_restored": (6, 17),
    "colliding_id_sent_as_it_is": (6, 17),
    "replay_in_the_wrong_order": (0, 1),
    "last_row_of_the_window_lost": (5, 25),
    "row_dropped_on_callerror": (0, 7),
    "row_sent_twice": (0, 1),
    "delivered_row_not_settled": (0, 1),
    "link_failure_counted_as_an_attempt": (1, 4),
    "live_overtakes_stored": (0, 1),
    "repeated_message_stored_again": (1, 2),
    "silent_cloud_waited_for": (1, 4),
    "second_call_not_held": (0, 1),
    "answer_matched_by_order": (0, 3),
    "waiting_messages_forgotten_when_the_link_goes": (4, 17),
    "list_not_asked": (0, 3),
    "blocked_card_accepted": (13, 14),
    "late_answer_goes_to_the_next_cloud_leg": (3, 81),
    "cards_expire_when_the_clock_is_set": (7, 36),
    "pairs_forgotten_when_the_clock_is_set": (25, 112),
    "queue_held_for_ever_by_a_pending_boot": (5,),
    "cloud_ids_of_the_local_range_given_again": (52, 5),
    "boot_refused_because_its_id_was_used_before_the_boot": (15, 25),
    "dead_session_still_writes": (193,),
    "giving_up_goes_round_in_circles": (269,),
}
