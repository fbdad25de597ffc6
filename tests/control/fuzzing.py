"""Asks a running gateway whatever its OpenAPI document allows, and what it does not, by seed.

Rules of this file:
- The document is the judge: every status, content type and body must be one that it promises. `default`
  stands for refusals only; what works out (below 400) must be named.
- Names that exist (`Known`) take the place of drawn ones in every second case; nearly all the others are
  refused for being nobody, and would prove little.
- Streams and files are not asked here: their tests are written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.generation import GenerationMode

Known = Mapping[str, Any]  # name of a parameter or of a member of a body -> what exists
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PLAIN = {"application/json"}
WITHIN_S = 30.0
QUESTIONS = ("GET", "HEAD", "OPTIONS")


@dataclass
class Fuzz:
    """`url`: where the API is; `headers`: of every request. `statuses`: what was answered, by operation."""

    url: str
    headers: dict[str, str]
    known: Known
    examples: int
    statuses: dict[str, set[int]] = field(default_factory=dict)

    def operations(self, document: dict[str, Any]) -> Iterator[Any]:
        """All of the document but streams and files."""
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            raw = document["paths"][operation.path][operation.method.lower()]
            if _content_types(raw) <= PLAIN | {"text/plain", "application/openmetrics-text"}:
                yield operation

    def ask(self, operation: Any, mode: GenerationMode) -> None:
        """Raises AssertionError with the smallest request that shows what is wrong."""
        documented = operation.definition.raw["responses"]

        @hypothesis.settings(
            max_examples=self.examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), is_known=strategies.booleans())
        def one(case: Any, is_known: bool) -> None:
            if is_known:
                for names in (case.path_parameters, case.query, case.body):
                    _name(names, self.known)
            answer = case.call(base_url=self.url, headers=self.headers, timeout=WITHIN_S)
            self.statuses.setdefault(operation.label, set()).add(answer.status_code)
            case.validate_response(answer, checks=CHECKS)
            assert answer.status_code >= 400 or str(answer.status_code) in documented, answer.status_code

        with suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked for
            one()


def _content_types(raw: Mapping[str, Any]) -> set[str]:
    parts = [raw.get("requestBody", {}), *raw["responses"].values()]
    return {content for part in parts for content in part.get("content", {})}


def _name(names: Any, known: Known) -> None:
    if isinstance(names, dict):
        names.update({name: value for name, value in known.items() if name in names})
