"""What cannot be answered or done, for whoever asked over the local API."""

from __future__ import annotations

from typing import Literal

from edgegw.errors import EdgegwError


class Problem(EdgegwError):
    """`status` is HTTP's, `code` a stable name, `outcome` what became of a CALL, if it is about one."""

    def __init__(
        self, status: int, code: str, text: str, *, outcome: Literal["timeout", "gone"] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.outcome = outcome
