"""The daemon: its configuration, and the one place where its parts are put together."""
