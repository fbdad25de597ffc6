"""Every exception edgegw raises on purpose, at a glance.

The faults say whose it is. They are expected: handled, counted, shown. Anything else that
is raised is a bug in edgegw; the supervisor of the charger it hit rebuilds that session from the
journal and the others live on.
"""

from __future__ import annotations


class EdgegwError(Exception):
    """Root of the tree."""


class ConfigFault(EdgegwError):
    """The site file is wrong. The text names file, line, key, value and what is allowed."""


class CloudFault(EdgegwError):
    """The cloud cannot be reached or did what it must not. Costs no charger anything."""


class StoreFault(EdgegwError):
    """The store could not do what was asked."""


class StoreUnknownOutcome(StoreFault):
    """A COMMIT failed: the rows may be there after a reopen. Answer nobody; reopen and recover."""


class StoreFull(StoreFault):
    """No space left: nothing of this batch was written."""


class StoreLocked(StoreFault):
    """Another edgegw process owns this store."""


class StoreNewer(StoreFault):
    """The file was written by a newer edgegw; this one refuses to guess."""
