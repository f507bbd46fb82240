"""Naru: a container platform. See docs/architecture.md for the way data walks through these folders."""

__version__ = "0.1.0"
