"""Families of problems, a module each: what `simlab run` and sweeps know of a kind of problem stands in one place.

A module found here enters its kinds by the decorator `base.family`; nothing else has to be told of it.
"""

from importlib import import_module
from pkgutil import iter_modules

from simlab.experiment.families.base import FAMILIES, Family, family_of

__all__ = ["FAMILIES", "Family", "family_of"]

for _found in iter_modules(__path__, f"{__name__}."):
    import_module(_found.name)
