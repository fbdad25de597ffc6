"""Settings of a charger: asked of it, kept for a while, changed one by one.

Rules of this file: those of `control.service`, and:
- 2.x tells them in reports, which `core.own_reports` keeps from the cloud; a charger that makes none is asked
  for the usual ones. What did not come in time is said, and what came is shown.
- Whoever asks while the charger is being asked waits for the same answer.
- To ask a charger is an order: it costs it time, and its line. Who may only read is told what is known.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from edgegw.control import detail_models as detail
from edgegw.control import models, setting_rules
from edgegw.control import setting_words as words
from edgegw.control.problem import Problem
from edgegw.core.effects import Reported
from edgegw.redaction import plain
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.session import Session
from edgegw.runtime.tasks import Tasks
from edgegw.wire import frames
from edgegw.wire.frames import Call as CallFrame
from edgegw.wire.timestamps import format_timestamp

log = logging.getLogger("edgegw.control")

KEPT_S = 600.0
KEPT_CHARGERS_MAX = 50
NEXT_PART_WITHIN_S = 30.0  # of a report
REPORT_WITHIN_S = 300.0  # all of it: a thousand variables over a slow line
# Below those of remote starts, logs and rollouts, and above what a cloud counts up to.
REPORT_ID_FIRST, REPORT_IDS = 0x7400_0000, 0x0400_0000

Call = Callable[[str, models.CallRequest, str], Awaitable[models.CallAnswer]]

_NOT_ASKED = (
    "the charger would have to be asked, which who may only read cannot order: use the token of [control]"
    " token_file or the control socket; what an operator asked for is shown for ten minutes"
)


class _Report:
    """One that is on its way."""

    def __init__(self) -> None:
        self.settings: list[detail.Setting] = []  # made at once: what a charger sends has no end
        self.complete = False
        self.news = asyncio.Event()

    def add(self, part: Reported) -> None:
        self.settings += words.of_report(part.parts)[: words.SETTINGS_MAX - len(self.settings)]
        self.complete = self.complete or part.last
        self.news.set()


class SettingDesk:
    def __init__(self, gateway: Gateway, session: Callable[[str], Session], call: Call) -> None:
        self._session = session
        self._call = call
        self._tasks = Tasks()
        self._kept: OrderedDict[str, tuple[float, float, detail.Settings]] = (
            OrderedDict()
        )  # (mono, boot, ...)
        self._asking: dict[str, asyncio.Task[detail.Settings | Problem]] = {}
        self._reports: dict[tuple[str, int], _Report] = {}
        self._ids = itertools.count(int(clock.now().wall))
        gateway.report_listeners.append(self._reported)

    async def close(self) -> None:
        await self._tasks.cancel()

    # --- questions ------------------------------------------------------------------------------

    async def settings(
        self, identity: str, search: str, fresh: bool, asker: str, *, may_ask: bool = True
    ) -> detail.Settings:
        """Those whose name or value holds `search`. Raises Problem when the charger does not tell them.

        `may_ask`: whether the charger may be asked for this asker.
        """
        found = None if fresh else self._known(identity)
        if found is None and not may_ask:
            raise Problem(403, "read_only", _NOT_ASKED)
        if found is None:
            found = await self._ask_once(identity, asker)
        return _searched(found, search)

    def _known(self, identity: str) -> detail.Settings | None:
        booted_at = self._session(identity).charger.state.profile.booted_at
        asked_at, booted_before, found = self._kept.get(identity, (float("-inf"), 0.0, None))
        is_old = clock.now().mono - asked_at > KEPT_S or booted_before != booted_at
        return None if is_old else found

    async def _ask_once(self, identity: str, asker: str) -> detail.Settings:
        task = self._asking.get(identity)
        if task is None:
            self._session(identity)
            task = self._tasks.spawn(self._attempt(identity, asker), f"settings of {identity}")
            self._asking[identity] = task
            task.add_done_callback(lambda _: self._asking.pop(identity, None))
        await asyncio.wait([task])  # whoever leaves does not end it for the others
        if task.cancelled():
            raise Problem(503, "stopping", "edgegw stops; ask again when it runs")
        found = task.result()
        if isinstance(found, Problem):
            raise found
        return found

    async def _attempt(self, identity: str, asker: str) -> detail.Settings | Problem:
        """A refusal is for those who wait, and no bug of a task."""
        try:
            return await self._ask(identity, asker)
        except Problem as problem:
            return problem

    async def _ask(self, identity: str, asker: str) -> detail.Settings:
        state = self._session(identity).charger.state
        is_2x = state.version.is_2x
        text, complete = "", True
        if is_2x:
            found, text, complete = await self._inventory(identity, asker)
        else:
            found = words.of_16(await self._result(identity, "GetConfiguration", {}, asker))
        told = detail.Settings(
            protocol=state.version.value,
            settings=found,
            asked_at=format_timestamp(clock.now().wall),
            complete=complete,
            text=text,
        )
        self._kept[identity] = (clock.now().mono, state.profile.booted_at, told)
        self._kept.move_to_end(identity)
        while len(self._kept) > KEPT_CHARGERS_MAX:
            self._kept.popitem(last=False)
        return told

    async def _result(
        self, identity: str, action: str, payload: dict[str, Any], asker: str
    ) -> dict[str, Any]:
        """Raises Problem, also for a CALLERROR."""
        answer = await self._call(identity, models.CallRequest(action=action, payload=payload), asker)
        if answer.outcome == "error":
            said = plain(f"{answer.code}: {answer.description}".rstrip(": ")[:200])
            raise Problem(409, "charger_error", f"{identity} does not answer {action}: {said}")
        return answer.payload or {}

    # --- 2.x ------------------------------------------------------------------------------------

    async def _inventory(self, identity: str, asker: str) -> tuple[tuple[detail.Setting, ...], str, bool]:
        number = REPORT_ID_FIRST + next(self._ids) % REPORT_IDS
        report = self._reports[identity, number] = _Report()
        payload = {"requestId": number, "reportBase": "FullInventory"}
        try:
            status = (await self._result(identity, "GetBaseReport", payload, asker)).get("status")
            why = f"the charger makes no report ({plain(str(status))[:50]})"
            if status == "Accepted":
                await self._gather(report)
                why = "the charger promised a report and sent none"
        except Problem as problem:
            if problem.code != "charger_error":
                raise
            why = "the charger knows no report"
        finally:
            del self._reports[identity, number]
        if report.complete:
            return words.by_name(report.settings), "", True
        if report.settings:
            count = len(report.settings)
            text = f"the charger stopped telling after {count} settings; ask again for the rest"
            return words.by_name(report.settings), text, False
        usual = await self._usual(identity, asker)
        return usual, f"{why}: only the {len(usual)} usual settings that it has are shown", False

    async def _gather(self, report: _Report) -> None:
        """Until it is complete, or no part came for long."""
        try:
            async with asyncio.timeout(REPORT_WITHIN_S):
                while not report.complete:
                    report.news.clear()
                    await asyncio.wait_for(report.news.wait(), NEXT_PART_WITHIN_S)
        except TimeoutError:
            return

    def _reported(self, told: tuple[str, Reported]) -> None:
        identity, part = told
        report = self._reports.get((identity, part.request_id))
        if report is not None:
            report.add(part)

    async def _usual(self, identity: str, asker: str) -> tuple[detail.Setting, ...]:
        found: list[detail.Setting] = []
        for at in range(0, len(words.USUAL), words.USUAL_AT_ONCE):
            wanted = [
                {"component": {"name": component}, "variable": {"name": variable}}
                for component, variable in words.USUAL[at : at + words.USUAL_AT_ONCE]
            ]
            payload = await self._result(identity, "GetVariables", {"getVariableData": wanted}, asker)
            found += words.of_variables(payload)
        return tuple(found)

    # --- orders ---------------------------------------------------------------------------------

    async def set(self, identity: str, order: detail.SetSetting, asker: str) -> detail.SettingAnswer:
        """Raises Problem: "secret", "moves_charger", "needed_here", "no_such_setting", "charger_error"."""
        state = self._session(identity).charger.state
        action, payload = _call_for(order, is_2x=state.version.is_2x)
        frame = frames.parse(frames.call("0" * frames.MESSAGE_ID_MAX, action, payload), state.version)
        assert isinstance(frame, CallFrame)
        refusal = setting_rules.why_not(order.name, order.value, frame, balanced=state.power.balanced)
        if refusal is not None:
            raise Problem(409, refusal.code, refusal.text)
        answer = await self._result(identity, action, payload, asker)
        status = plain(_status(answer))[:50]
        self._kept.pop(identity, None)
        log.info("%s set %s of %s: %s", asker, plain(order.name), identity, status)
        return detail.SettingAnswer(name=order.name, status=status, text=words.meaning_of(status))


def _call_for(order: detail.SetSetting, *, is_2x: bool) -> tuple[str, dict[str, Any]]:
    if not is_2x:
        return "ChangeConfiguration", {"key": order.name, "value": order.value}
    parts = words.parts_of(order.name)
    if parts is None:
        text = f'{plain(order.name)!r} is no name of an OCPP 2.x setting: write it as "Component.Variable"'
        raise Problem(422, "no_such_setting", text)
    component, variable = parts
    item = {"component": component, "variable": variable, "attributeValue": order.value}
    return "SetVariables", {"setVariableData": [item]}


def _status(answer: dict[str, Any]) -> str:
    results = answer.get("setVariableResult")
    if isinstance(results, list) and results and isinstance(results[0], dict):
        return str(results[0].get("attributeStatus", ""))
    return str(answer.get("status", ""))


def _searched(found: detail.Settings, search: str) -> detail.Settings:
    wanted = search.strip().casefold()
    if not wanted:
        return found
    hits = tuple(
        one
        for one in found.settings
        if wanted in one.name.casefold() or wanted in (one.value or "").casefold()
    )
    return found.model_copy(update={"settings": hits})
