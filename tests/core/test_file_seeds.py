"""Seeded: updates and uploads through cut links, power cuts and services that fail (`file_world`)."""

from __future__ import annotations

import pytest

from edgegw.core import diagnostics, file_status, firmware
from tests.core.file_world import World

SEEDS = 1000


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_what_is_begun_ends_and_the_cloud_hears_the_truth(first):
    for seed in range(first, first + 50):
        assert World(seed).run() == [], f"seed {seed}"


def _answers_again(monkeypatch):
    old = firmware.on_deadline
    monkeypatch.setattr("edgegw.core.charger.firmware.on_deadline", lambda state, now: old(state, now) * 2)


def _forgets_when_it_is_cut(monkeypatch):
    def forget(state, now):
        state.files.firmware = None
        return []

    monkeypatch.setattr("edgegw.core.charger.firmware.on_connected", forget)


def _tells_the_cloud_of_the_site(monkeypatch):
    old = file_status.heard
    monkeypatch.setattr(file_status, "heard", lambda state, call, now: (False, old(state, call, now)[1]))


def _says_nothing_of_a_failure(monkeypatch):
    monkeypatch.setattr(firmware, "tell_status", lambda *a: [])


def _loses_what_it_owes(monkeypatch):
    monkeypatch.setattr(diagnostics, "deliver", lambda *a: [])


@pytest.mark.parametrize(
    "plant",
    [
        _answers_again,
        _forgets_when_it_is_cut,
        _tells_the_cloud_of_the_site,
        _says_nothing_of_a_failure,
        _loses_what_it_owes,
    ],
)
def test_the_checkers_catch_what_is_planted(monkeypatch, plant):
    plant(monkeypatch)
    assert any(World(seed).run() for seed in range(100))
