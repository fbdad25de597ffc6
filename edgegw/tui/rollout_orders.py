"""What an operator can do to a rollout, from the list and from its own screen."""

from __future__ import annotations

from edgegw.control.firmware_models import RolloutSummary
from edgegw.tui.firmware_words import stages_of
from edgegw.tui.frame import ConsoleScreen

NONE_MEANT = "put the cursor on a rollout"


def hold_or_go_on(screen: ConsoleScreen, one: RolloutSummary | None) -> None:
    if one is None:
        screen.notify(NONE_MEANT)
    elif one.state == "running":
        screen.order(
            f"Pause the rollout of {one.name}",
            lambda client: client.pause_rollout(one.id),
            stages_of,
            confirm="No further charger gets it for now. Those that have it go on.",
        )
    elif one.state == "paused":
        screen.order(
            f"Go on with the rollout of {one.name}",
            lambda client: client.resume_rollout(one.id),
            stages_of,
            confirm="Also after failures: as many more stop it again.",
        )
    else:
        screen.notify("this rollout is over; n on the file starts a new one")


def stop(screen: ConsoleScreen, one: RolloutSummary | None) -> None:
    """Also of one that is over: chargers that never came back then no longer count as down."""
    if one is None:
        screen.notify(NONE_MEANT)
        return
    screen.order(
        f"End the rollout of {one.name} for good",
        lambda client: client.stop_rollout(one.id),
        stages_of,
        confirm="Chargers that have the update finish it; the others do not get it.",
    )
