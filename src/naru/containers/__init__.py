"""Containers: records and their lifecycle table, the owner task of each, and the processes behind them.

`records`, `lifecycle`, `runtimespec`, `seccomp`, `users`, `validate`, `mountpoints`, `messages` are pure. `owner` is the only
one that changes a container; `service` is the way in. To follow `docker run`: service → creation → owner → networking,
launch → monitor.
"""
