"""The parts that all screens share: table, filter, words. Pure, or on a screen of their own."""

from __future__ import annotations

import asyncio

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from edgegw.tui.filtering import parse
from edgegw.tui.said import SaidBook
from edgegw.tui.table import Column, Row, VirtualTable, fit, fitted
from edgegw.tui.words import Ages, age, amps, clock, energy, flowed, number, phases, size, span
from tests.links.house import DEADLINE_S

NOW = "2026-11-20T23:40:01Z"
COLUMNS = (
    Column("NAME", 6, grow=1),
    Column("A", 4, right=True),
    Column("MORE", 10, rank=2),
    Column("X", 3, rank=1),
)


# --- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "120m"), (7200, "2h"), (172_800, "2d"), (9e8, "10417d")],
)
def test_a_span_is_short(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_ages_are_by_the_gateways_clock() -> None:
    assert age("2026-11-20T23:39:31Z", NOW) == "30s"
    assert age("2026-11-20T23:39:31.500Z", NOW) == "30s"
    assert age("2026-11-21T00:40:01Z", NOW) == "0s", "a time to come is no age"
    assert age(None, NOW) == age("", NOW) == "-"
    assert Ages(NOW).of("2026-11-20T21:40:01Z") == age("2026-11-20T21:40:01Z", NOW) == "2h"
    assert Ages(NOW).of(None) == "-"


def test_numbers() -> None:
    assert [amps(value) for value in (None, 6.0, 6.04, 15.8, 123.4, -3.26)] == [
        "-",
        "6",
        "6.0",
        "15.8",
        "123",
        "-3.3",
    ]
    assert [energy(value) for value in (None, 730, 12_340)] == ["-", "730Wh", "12.3kWh"]
    assert phases((1.0, None, 2.5)) == "1/-/2.5"
    assert (number(1, "alarm"), number(2, "alarm")) == ("1 alarm", "2 alarms")
    assert [size(value) for value in (3, 2048, 3 * 2**20, 2**31)] == ["3 B", "2.0 KiB", "3.0 MiB", "2.0 GiB"]
    assert (clock(NOW), clock(None)) == ("23:40:01", "-")


# --- filter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("cp-7", True),
        ("CP-7 charging", True),
        ("cp-7 faulted", False),
        ("!faulted", True),
        ("!charging", False),
        (r"/^cp-[0-9]+\b/", True),
        (r"/^CP-\S+$/", False),
        ("/^x/", False),
        ("!/^x/", True),
        ("!", True),
        ("//", False),
    ],
)
def test_what_a_filter_takes(text: str, taken: bool) -> None:
    row = Row("7", ("CP-7", ("Charging", "green"), "6.0"))
    assert parse(text).rows([row]) == ([row] if taken else [])


def test_a_filter_that_is_not_understood_says_so_and_shows_everything() -> None:
    broken = parse("cp /(/")
    assert "/(/" in broken.complaint
    assert not broken
    assert broken.rows([Row("1", ("x",))])


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$", "(a|aa)+$", "(a*)*b", "a?" * 20 + "a" * 20, ".*.*.*x", r"(\w+)\1", "(?=a)a", "(?:a|b){9}c",
        "(|a)" * 20 + "x", "a" * 101, "((a|b)c)?d", "x++y*",
    ],
)  # fmt: skip
def test_a_pattern_that_may_never_end_is_not_tried(pattern: str) -> None:
    row = Row("1", ("a" * 5_000,))
    filter_ = parse(f"/{pattern}/")
    assert "here" in filter_.complaint or "at most" in filter_.complaint
    assert filter_.rows([row]) == [row], "and everything is shown"


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("^cp.*fault", True), ("cp-[0-9]+$", False), ("(faulted|charging)", True), (r"\(x\)?", True),
        ("[)*+|(]y", True), ("f{1}", True), ("z*?faulted", True), ("a|b|c|d|e|f", True),
    ],
)  # fmt: skip
def test_patterns_that_people_use_work(pattern: str, taken: bool) -> None:
    row = Row("1", ("CP-7", "Faulted (x) *y"))
    filter_ = parse(f"/{pattern}/")
    assert filter_.complaint == ""
    assert bool(filter_.rows([row])) is taken


def test_a_pattern_that_takes_too_long_over_all_rows_is_given_up_and_says_so() -> None:
    seconds = iter(range(10**6))
    rows = [Row(str(number), ("abc",)) for number in range(50)]
    slow = parse("/^x/", clock=lambda: next(seconds) * 0.01)  # 10 ms for each row
    assert slow.complaint == ""
    assert slow.rows(rows) == rows, "all of them, not those that came before it was given up"
    assert "too long" in slow.complaint
    assert slow.takes("abc")
    quick = parse("/^x/", clock=lambda: next(seconds) * 0.0001)
    assert quick.rows(rows * 20) == []
    assert quick.complaint == ""


# --- what it tells ----------------------------------------------------------------------------------


def told(*texts: str, width: int = 80, height: int = 24, now: float = 1.0) -> list[str]:
    book = SaidBook()
    for text in texts:
        book.add(text, "information", 0.0)
    return [line.plain for line in book.lines(now, width, height)]


def test_before_anything_is_told_there_is_no_line() -> None:
    assert told() == []


def test_several_messages_at_once_are_all_read_and_what_does_not_fit_is_counted() -> None:
    assert told("one", "two", "three") == [" 00:00:00Z one", " 00:00:00Z two", " 00:00:00Z three"]
    shown = told(*(f"number {count}" for count in range(12)))
    assert len(shown) == 4
    assert shown[-1].endswith("number 11")
    assert "and 8 before: key 0" in shown[0]


def test_a_long_message_is_read_whole_as_long_as_it_is_new() -> None:
    text = "a refusal " * 25
    shown = told(text)
    assert "".join(shown).count("refusal") == 25
    (later,) = told(text, now=3600.0)
    assert later.endswith("key 0: all")
    assert len(later) <= 80
    (low,) = told(text, height=5)
    assert low.endswith("key 0: all")


def test_of_a_message_without_end_the_beginning_is_kept() -> None:
    book = SaidBook()
    book.add("x" * 1_000_000, "information", 0.0)
    assert len(book.whole().plain) < 3000
    assert book.texts[0].endswith(" ...")


def test_the_same_message_again_and_again_is_one_line() -> None:
    assert told("no", "no", "no") == [" 00:00:00Z no (3 times)"]


def test_the_last_message_stays_with_its_time_and_all_can_be_read() -> None:
    book = SaidBook()
    book.add("first \x1b[31m", "warning", 0.0)
    book.add("second", "error", 61.0)
    assert [line.plain for line in book.lines(9_999.0, 80, 24)] == [" 00:01:01Z x second"]
    assert book.whole().plain.splitlines()[0] == "00:01:01Z x second"
    assert "\x1b" not in book.whole().plain
    for at in range(1_000):
        book.add(f"m{at}", "information", float(at))
    assert len(book.texts) == 500, "a console that runs for months keeps no more"


@pytest.mark.parametrize("width", [0, 1, 5, 20, 200])
@pytest.mark.parametrize("height", [0, 1, 5, 50])
def test_messages_fit_every_terminal(width: int, height: int) -> None:
    assert 1 <= len(told("a", "b" * 300, "c d " * 50, width=width, height=height)) <= 4


# --- table ------------------------------------------------------------------------------------------


def test_columns_of_a_high_rank_go_first_and_the_rest_grows() -> None:
    assert fitted(COLUMNS, 40) == ((0, 20), (1, 4), (2, 10), (3, 3))
    assert fitted(COLUMNS, 20) == ((0, 11), (1, 4), (3, 3))
    assert fitted(COLUMNS, 12) == ((0, 7), (1, 4))
    assert fitted(COLUMNS, 3) == ((0, 6), (1, 4)), "what has no rank stays, and is cut off"


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 50, "充电桩充电桩充电桩", "e\u0301" * 20, "a\u200bb", "🔌" * 9]
)
@pytest.mark.parametrize("width", [1, 2, 7, 20])
def test_a_cell_is_as_wide_as_its_column_whatever_is_in_it(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width


class OneTable(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.table = VirtualTable(COLUMNS, empty="nothing")
        self.heard: list[str | None] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        self.heard.append(event.key)

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        self.heard.append(f"open {event.key}")


def rows(*names: str, value: str = "1") -> list[Row]:
    return [Row(name, (name, value, "", "")) for name in names]


def seen(app: OneTable) -> list[str]:
    return [
        "".join(segment.text for segment in strip).rstrip()
        for strip in app.screen._compositor.render_strips()
    ]


async def test_the_cursor_stays_on_its_row_while_others_come_and_go() -> None:
    app = OneTable()
    async with app.run_test(size=(40, 10)) as pilot:
        assert "nothing" in seen(app)[1]
        app.table.show(rows("a", "b", "c", "d"))
        await pilot.press("j", "down", "enter")
        assert app.heard[-1] == "open c"
        app.table.show(rows("0", "1", "a", "c", "d"))
        await pilot.pause()
        assert app.table.key == "c"
        app.table.show(rows("0", "1", "a", "d"))
        await pilot.pause()
        assert app.table.key == "d", "its row is gone: what is at its place now"
        assert app.heard[-1] == "d"
        app.table.show([])
        await pilot.pause()
        assert app.table.key is None
        app.table.show(rows(*(f"{number:03}" for number in range(1000))))
        for key, wanted in (("G", "999"), ("k", "998"), ("pageup", "990"), ("g", "000"), ("pagedown", "008")):
            await pilot.press(key)
            assert app.table.key == wanted
            async with asyncio.timeout(DEADLINE_S):  # on the screen
                while not any(wanted in line for line in seen(app)):
                    await pilot.pause(0.01)


async def test_only_lines_that_changed_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = OneTable()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.show(rows("a", "b", "c"))
        await pilot.pause()
        drawn: list[str] = []
        real = VirtualTable._draw
        monkeypatch.setattr(
            VirtualTable, "_draw", lambda me, row, *given: (drawn.append(row.key), real(me, row, *given))[1]
        )
        app.table.show(rows("a", "b", "c"))
        await pilot.pause()
        assert drawn == []
        app.table.show([*rows("a"), *rows("b", value="2"), *rows("c")])
        await pilot.pause()
        assert drawn == ["b"]
        assert any("b" in line and "2" in line for line in seen(app))


async def test_markup_and_control_characters_stay_what_they_are() -> None:
    app = OneTable()
    async with app.run_test(size=(60, 6)) as pilot:
        app.table.show([Row("x", ("[bold]no[/]", "1", "[link=http://x]", ""))])
        await pilot.pause()
        assert "[bold]no[/]" in "\n".join(seen(app))
        for given in ((1, 1), (20, 5), (2, 1), (80, 24)):
            await pilot.resize_terminal(*given)
            await pilot.pause()
        assert "[bold]no[/]" in "\n".join(seen(app))


def test_a_text_of_the_source_is_wrapped_by_its_pane():
    assert flowed("\nOne two\nthree.\n\nNext\none.\n\n  v as it is\n  x too\n") == (
        "One two three.\n\nNext one.\n\n  v as it is\n  x too"
    )
