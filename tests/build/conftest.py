"""The fixture `world`: see `buildworld.py`."""

from buildworld import world

__all__ = ["world"]
