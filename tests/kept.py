"""How many objects somebody keeps: for what must have an end, however long a site runs.

Objects are counted and never bytes: what the allocator and SQLite hold on to is not theirs.
"""

from __future__ import annotations

import gc
from collections import Counter
from types import BuiltinFunctionType, FunctionType, ModuleType

_EVERYBODYS = (type, ModuleType, FunctionType, BuiltinFunctionType)


def reached(*roots: object, besides: tuple[type, ...] = ()) -> Counter[str]:
    """Objects by the name of their type that `roots` keep; what is one of `besides` is not looked into."""
    seen: set[int] = set()
    found: Counter[str] = Counter()
    left = list(roots)
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, (*_EVERYBODYS, *besides)):
            continue
        seen.add(id(one))
        found[type(one).__name__] += 1
        left += gc.get_referents(one)
        # A struct with gc=False says nothing to the collector.
        left += [getattr(one, name) for name in getattr(type(one), "__struct_fields__", ())]
    return found


def grown(before: Counter[str], after: Counter[str], than: float) -> dict[str, int]:
    """Of which types there are more than `than` more."""
    return {name: count for name, count in (after - before).items() if count > than}
