"""Layers on disk: overlayfs snapshots by chain ID, the unpacking of foreign tars, and the making of new ones."""
