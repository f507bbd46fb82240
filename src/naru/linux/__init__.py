"""The kernel lives here: every system call, netlink message, nft call, cgroup file and child process, and nowhere else.

Wrappers are short and raise OSError that names the call and the path. Nothing in this folder knows what a container is.
"""
