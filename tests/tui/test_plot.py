"""Curves drawn with dots: where they lie, what is left out, what never fits."""

from __future__ import annotations

import math

import pytest

from edgegw.tui.plot import BLOCKS, BRAILLE, Curve, Frame, dots_of, draw, scale_of

FRAME = Frame(0.0, 100.0, gap=3.0, labels=("-100 s", "", "now"))


def lines(*curves: Curve, width: int = 40, height: int = 9, frame: Frame = FRAME) -> list[str]:
    return [line.plain for line in draw(curves, frame, width, height)]


def flat(value: float | None, sign: str = "1", begin: int = 0, end: int = 101) -> Curve:
    return Curve(sign, "green", [(float(x), value) for x in range(begin, end)])


def row_of(sign: str, drawn: list[str]) -> int:
    """From the top, where a curve ends."""
    return next(number for number, line in enumerate(drawn) if line.rstrip().endswith(sign))


def test_a_higher_value_lies_higher_and_its_sign_beside_it() -> None:
    drawn = lines(flat(10.0, "1"), flat(60.0, "2"))
    assert row_of("2", drawn) < row_of("1", drawn)
    assert all(len(line) == 40 for line in drawn), "every line has the width that was asked for"
    assert drawn[-1].strip().startswith("-100 s")
    assert drawn[-1].rstrip().endswith("now")


def test_0_is_at_the_bottom_and_the_round_top_is_above_everything() -> None:
    assert scale_of([flat(63.0)]) == (0.0, 80.0)
    assert scale_of([flat(-12.0), flat(30.0)]) == (-15.0, 30.0), "a roof that feeds in"
    assert scale_of([]) == (0.0, 1.0)
    drawn = lines(flat(0.0))
    assert row_of("1", drawn) == len(drawn) - 2


def test_a_hole_stays_a_hole_and_a_short_one_is_filled() -> None:
    whole = Curve("1", "", [(float(x), 5.0) for x in range(0, 101, 2)])  # gap 3: nothing is missing
    holed = Curve("1", "", [(float(x), 5.0) for x in range(101) if not 30 < x < 60])
    count = [sum(character != " " for character in line[6:34]) for line in lines(whole)]
    count_holed = [sum(character != " " for character in line[6:34]) for line in lines(holed)]
    assert max(count[:-1]) == 28
    assert 15 <= max(count_holed[:-1]) <= 22
    unknown = Curve("1", "", [(float(x), 5.0 if x < 50 else None) for x in range(101)])
    assert "1" not in "".join(lines(unknown)[:-1]).replace("┤", ""), "it does not reach the right end"


def test_a_peak_of_one_point_is_never_drawn_away() -> None:
    points = [(x / 100, 50.0 if x == 5000 else 10.0) for x in range(10_000)]
    drawn = draw([Curve("1", "", points)], FRAME, 40, 9)
    assert any(ord(character) > 0x2800 for character in drawn[0].plain[6:34]), "50 is the top of the scale"


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (5, 2), (13, 2), (14, 3), (300, 100)])
@pytest.mark.parametrize("dots", [BRAILLE, BLOCKS])
def test_any_size_gives_so_many_lines_and_never_fails(size: tuple[int, int], dots: object) -> None:
    width, height = size
    drawn = draw([flat(10.0), flat(None, "2")], FRAME, width, height, dots)  # type: ignore[arg-type]
    assert len(drawn) == height
    assert {len(line.plain) for line in drawn} <= {width}


def test_values_that_are_none_of_any_world_do_no_harm() -> None:
    nasty = Curve("1", "", [(0.0, math.nan), (1.0, math.inf), (2.0, -1e300), (3.0, 1e300), (4.0, 5e-324)])
    assert len(lines(nasty)) == 9
    assert len(lines(Curve("1", "", [(5.0, 1.0), (1e12, 2.0), (-1e12, 2.0)]))) == 9


def test_the_kernels_own_console_gets_characters_of_its_font() -> None:
    assert dots_of("linux") is BLOCKS
    assert dots_of("screen-256color") is BRAILLE
    drawn = "".join(line.plain for line in draw([flat(10.0)], FRAME, 40, 9, BLOCKS))
    assert not any(ord(character) >= 0x2800 for character in drawn)
    assert "▄" in drawn or "▀" in drawn


def test_a_limit_is_dashed() -> None:
    limit = Curve("-", "red", flat(10.0).points, dashed=True)
    drawn = max(lines(limit)[:-1], key=lambda line: sum(ord(c) > 0x2800 for c in line))
    assert " " in drawn[6:34].strip()


def test_phases_at_the_right_end_cannot_be_read_as_amps() -> None:
    curves = [Curve(sign, "", ((0.0, 86.0), (60.0, 86.0))) for sign in "123"]
    text = "\n".join(line.plain for line in draw(curves, Frame(0.0, 60.0), 40, 8))
    assert "L123" in text
