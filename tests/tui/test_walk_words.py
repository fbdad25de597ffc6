"""What the walk through a new charger says at its question and at its end."""

from __future__ import annotations

from edgegw.commissioning.words import Choice, Progress, Question
from edgegw.tui.walk_words import now_text


def test_a_choice_is_made_after_enter():
    choices = (Choice("main", "main"), Choice("garage", "garage"))
    state = Progress("CP-7", 1, question=Question("Which circuit?", choices))
    assert now_text(state).plain.endswith("enter to choose: main / garage")


def test_what_could_not_be_tested_stands_below_the_result():
    words = "not everything could be tested: the limit is followed"
    state = Progress("CP-7", 1, finished=True, result="incomplete", text=words)
    assert now_text(state).plain.startswith(f"! incomplete\n{words}\n")
