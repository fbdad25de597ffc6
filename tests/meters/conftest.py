"""Meters to read from. No process outlives its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tests.e2e.children import Children
from tests.meters.counterparts import NodeMeter, node_meter

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def pytest_asyncio_loop_factories(config, item):
    """Lines on both loops; what is above them only on the gateway's."""
    return LOOPS if item.path.name == "test_connection.py" else {"uvloop": LOOPS["uvloop"]}


@pytest.fixture
async def meter(tmp_path: Path) -> AsyncIterator[NodeMeter]:
    """An independent Modbus TCP meter without a register."""
    children = Children(tmp_path)
    try:
        yield await node_meter(children)
    finally:
        await children.close()
