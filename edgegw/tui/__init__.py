"""The console: what a technician sees of a running gateway, in a terminal.

Rules of this room:
- A process of its own. It knows the gateway only through `control`'s clients and models; the gateway never
  imports it.
- It decides nothing. What it orders goes the way of any order of the local API. It is read-only unless it was
  started as operator, and it is the gateway that refuses what a read-only asker may not do.
- What chargers wrote is shown without control characters and never read as markup.
- Nothing is remembered from one start to the next.
"""
