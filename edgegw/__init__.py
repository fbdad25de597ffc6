"""edgegw: the gateway at a parking site, between EV chargers and the operator's cloud."""

__version__ = "0.1.0"
