"""What the technician reads first."""

from __future__ import annotations

from edgegw.control.verdict import verdict
from edgegw.core.charger import Charger
from edgegw.core.events import ChargerConnected, Instant
from edgegw.core.power import ConnectorPower, Control, Wiring
from edgegw.core.site import Policy, Site
from edgegw.core.state import Registration
from edgegw.runtime.session import Session
from edgegw.wire.versions import Version


class _Owner:
    """A session asks nothing of its owner here."""

    record = None

    def commit(self, ops, done):
        raise AssertionError("nothing to store")


def _connected(registration: Registration) -> Session:
    site = Site(Policy(), lambda: "id")
    session = Session(Charger("CP1", site), _Owner())
    session.charger.handle(ChargerConnected(Version.V16), Instant(1.0, 1.8e9))
    session.charger.state.profile = session.charger.state.profile.__class__(registration=registration)
    session.charger_leg = object()
    return session


def test_a_charger_the_cloud_has_never_seen_is_not_said_to_be_served():
    assert "waits for the cloud to accept it" in verdict(_connected(Registration.NEVER))


def test_a_charger_the_cloud_knows_is_served_here():
    assert "served here, cloud away" in verdict(_connected(Registration.ACCEPTED))


def test_why_it_charges_so_slowly_stands_before_the_cloud():
    session = _connected(Registration.ACCEPTED)
    session.cloud_error = "TCP: connection refused"
    connector = ConnectorPower(Wiring(connector=1))
    connector.control, connector.fault = Control.REFUSES, "it answers Rejected"
    session.charger.state.power.connectors[1] = connector
    said = verdict(session)
    assert 0 < said.index("connector 1") < said.index("served here, cloud away (TCP: connection refused)")
