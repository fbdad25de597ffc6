"""Fixtures of the tests that run the gateway as its own process. No process outlives its test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.children import Children
from tests.e2e.gateway import Gateways
from tests.interop.peers import Peers


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    """Starts any process of a test; kills what is left of them."""
    started = Children(tmp_path)
    try:
        yield started
    finally:
        await started.close()


@pytest.fixture
async def gateways(children: Children, tmp_path: Path) -> AsyncIterator[Gateways]:
    """`await gateways(cloud_url, settings)` -> a running GatewayProcess."""
    made = Gateways(children, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def peers(children: Children) -> AsyncIterator[Peers]:
    """`await peers.cloud()`, `await peers.charger(url, identity, ...)`: strict peers on ocpp-rpc."""
    made = Peers(children)
    yield made
    made.assert_content()
