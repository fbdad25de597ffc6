"""Which CALLs of a charger are remembered, held against the plainest way to say it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from edgegw.core.answered import ANSWER_BYTES_MAX, ANSWERED_MAX, AnsweredCalls


@dataclass
class Said:
    id: str
    billing: bool
    raw: bytes
    answer: bytes | None = None
    earlier: bool = False


class Plain:
    """One list, the oldest first."""

    def __init__(self) -> None:
        self.all: list[Said] = []

    def get(self, message_id: str) -> Said | None:
        return next((said for said in self.all if said.id == message_id), None)

    def put(self, said: Said) -> bool:
        self.all = [other for other in self.all if other.id != said.id] + [said]
        if len(self.all) <= ANSWERED_MAX:
            return False
        self.all.remove(next((other for other in self.all if not other.billing), self.all[0]))
        return True

    def answer(self, message_id: str, answer: bytes) -> None:
        known = self.get(message_id)
        if known is not None and len(answer) <= ANSWER_BYTES_MAX:
            known.answer = answer
        elif known is not None and not known.billing:
            self.all.remove(known)

    def forget(self, message_id: str) -> None:
        self.all = [said for said in self.all if said.id != message_id]

    def forget_chatter(self) -> None:
        self.all = [said for said in self.all if said.billing and said.answer is not None]
        for said in self.all:
            said.earlier = True


@pytest.mark.parametrize("seed", range(30))
def test_it_remembers_as_one_list_would(seed: int):
    rng = random.Random(seed)
    book, plain = AnsweredCalls(), Plain()
    billing_share = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    ids = [f"m{n}" for n in range(60)]
    for step in range(600):
        message_id, turn = rng.choice(ids), rng.random()
        if turn < 0.55:
            said = Said(message_id, rng.random() < billing_share, b"%d" % step)
            forgot = book.put(message_id, said.raw, transactional=said.billing)
            assert forgot == plain.put(said)
        elif turn < 0.9:
            answer = b"x" * rng.choice([1, ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + 1])
            book.answer(message_id, answer, by_cloud=True)
            plain.answer(message_id, answer)
        elif turn < 0.99:
            book.forget(message_id)
            plain.forget(message_id)
        else:
            book.forget_chatter()
            plain.forget_chatter()
        _same(book, plain, ids)


def _same(book: AnsweredCalls, plain: Plain, ids: list[str]) -> None:
    for message_id in ids:
        known, said = book.get(message_id), plain.get(message_id)
        if said is None:
            assert known is None
        else:
            assert known is not None
            found = (known.fingerprint, known.answer, known.transactional, known.earlier)
            assert found == (hash(said.raw), said.answer, said.billing, said.earlier)


def test_an_answer_is_the_clouds_until_the_box_gives_one():
    book = AnsweredCalls()
    book.put("1", b"raw", transactional=True)
    book.answer("1", b"cloud", by_cloud=True)
    known = book.get("1")
    assert known is not None
    assert known.by_cloud
    book.answer("1", b"box", by_cloud=False)
    known = book.get("1")
    assert known is not None
    assert known.answer == b"box"
    assert not known.by_cloud
