"""`userns-remap`: the ids of the host that containers' users get, and who is not given any.

A container's root is then a user of the host who owns nothing. Ranges are those of /etc/subuid and /etc/subgid (subuid(5)), strung
together from 0 on as Docker does it. Nothing on disk changes its owner: see `linux.idmapped`.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from naru.containers.modes import other
from naru.containers.records import Container
from naru.errors import Conflict, InvalidArgument, Unsupported
from naru.linux import process, userns
from naru.linux.files import read_if_there
from naru.linux.idmapped import Shift
from naru.linux.userns import IdMaps, IdRange
from naru.wire.container import HostConfig

DEFAULT_USER = "dockremap"
SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"
RANGE_SIZE = 65536
_FIRST_ID = 100000
_OFF = "host"  # the one UsernsMode with a meaning


@dataclass(frozen=True, slots=True)
class Remap:
    """What every container gets that does not say `--userns=host`. `root` is where its root file system is mounted."""

    maps: IdMaps
    root: str
    programs: Mapping[str, str]

    def shifted(self, record: Container, donors: Sequence[Container]) -> Callable[[], tuple[Shift, int]]:
        """What makes its user namespace, and a network namespace that belongs to it (else -1): a user namespace of its own,
        or that of the containers whose other namespaces it joins. Raises Conflict if those have several, or none."""
        if not donors:
            return self.create
        network = other(record.host.network_mode) is None
        pid = donors[0].state.pid
        found = {os.stat(f"/proc/{process}/ns/user").st_ino for process in ("self", *(d.state.pid for d in donors))}
        if len(found) != 2 or os.stat("/proc/self/ns/user").st_ino == os.stat(f"/proc/{pid}/ns/user").st_ino:
            names = ", ".join(donor.name for donor in donors)
            raise Conflict(f"cannot join namespaces of {names}: they are not in one user namespace of containers")
        return lambda: self._join(pid, network=network)

    def create(self) -> tuple[Shift, int]:
        """Descriptors are the caller's. Blocks 3 ms. Raises OSError."""
        user, network = userns.create(self.maps, self.programs)
        return self._shift(user), network

    def _join(self, pid: int, *, network: bool) -> tuple[Shift, int]:
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            shift = self._shift(fd)
            return shift, userns.create_network(shift.path, self.programs) if network else -1
        except BaseException:
            os.close(fd)
            raise

    def _shift(self, fd: int) -> Shift:
        return Shift(self.maps, fd, f"/proc/{os.getpid()}/fd/{fd}", self.root)


def check(host: HostConfig) -> None:
    """What a container cannot have that is remapped. Raises InvalidArgument in Docker's words."""
    if host.userns_mode == _OFF:
        return
    for wrong, words in (
        (
            host.privileged,
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace "
            "when running privileged mode",
        ),
        (host.network_mode == "host", "cannot share the host's network namespace when user namespaces are enabled"),
        (host.pid_mode == "host", "cannot share the host PID namespace when user namespaces are enabled"),
    ):
        if wrong:
            raise InvalidArgument(words)


def applies(host: HostConfig) -> bool:
    return host.userns_mode != _OFF


def donors(host: HostConfig) -> list[str]:
    """Ids of the containers whose namespaces it joins: it has to be in their user namespace."""
    named = (other(mode) for mode in (host.network_mode, host.ipc_mode, host.pid_mode))
    return list(dict.fromkeys(name for name in named if name))


# -- whose ids ------------------------------------------------------------------------------------------------------------


def names(value: str) -> tuple[str, str]:
    """(user, group) of `user[:group]`, numbers being looked up; the group is the user's own unless said. Raises InvalidArgument."""
    user, separator, group = value.partition(":")
    if not user or (separator and not group) or ":" in group:
        raise InvalidArgument(f"invalid user/group specification in --userns-remap: {value!r}")
    if user == "default":
        user = DEFAULT_USER
    user = _name(user, lambda id: pwd.getpwuid(id).pw_name, lambda name: pwd.getpwnam(name).pw_name, "user")
    if not group:
        return user, _group_of(user)
    return user, _name(group, lambda id: grp.getgrgid(id).gr_name, lambda name: grp.getgrnam(name).gr_name, "group")


def _name(text: str, by_id: Callable[[int], str], by_name: Callable[[str], str], what: str) -> str:
    try:
        return by_id(int(text)) if text.isascii() and text.isdigit() else by_name(text)
    except (KeyError, OverflowError) as error:
        raise InvalidArgument(f"--userns-remap: there is no {what} {text} on this host") from error


def _group_of(user: str) -> str:
    """Docker takes the group of the same name."""
    return _name(user, str, lambda name: grp.getgrnam(name).gr_name, "group")


def ranges(text: str, name: str, number: int, path: str) -> tuple[IdRange, ...]:
    """Those of a name (or its number) in a file like /etc/subuid, one after the other from 0 on. Raises InvalidArgument."""
    out: list[IdRange] = []
    inside = 0
    for owner, first, size in _lines(text):
        if owner in (name, str(number)) and size:
            out.append(IdRange(inside, first, size))
            inside += size
    if not out:
        kind = os.path.basename(path)
        raise InvalidArgument(f"--userns-remap: no {kind} ranges found for {name!r} in {path}")
    return tuple(out)


def free_range(*texts: str) -> int:
    """Where the next range may begin: behind all that are taken."""
    return max([_FIRST_ID, *(first + size for text in texts for _, first, size in _lines(text))])


def _lines(text: str) -> list[tuple[str, int, int]]:
    fields = (line.split("#")[0].strip().split(":") for line in text.splitlines())
    return [(f[0], int(f[1]), int(f[2])) for f in fields if len(f) == 3 and f[1].isdigit() and f[2].isdigit()]


async def load(value: str, exec_root: str, programs: Mapping[str, str]) -> Remap | None:
    """None for "" and for root, whom nobody can remap to itself. `default` is made where it is missing. Raises InvalidArgument,
    Unsupported."""
    if not value:
        return None
    missing = [name for name in userns.PROGRAMS if name not in programs]
    if missing:
        raise Unsupported(f"--userns-remap needs {', '.join(missing)} (apt-get install util-linux coreutils)")
    if value.partition(":")[0] == "default":
        await _make_default_user()
    user, group = names(value)
    if user == "root":
        return None
    maps = IdMaps(
        ranges(read_if_there(SUBUID), user, pwd.getpwnam(user).pw_uid, SUBUID),
        ranges(read_if_there(SUBGID), group, grp.getgrnam(group).gr_gid, SUBGID),
    )
    return Remap(maps, f"{exec_root}/rootfs", programs)


async def _make_default_user() -> None:
    """A user of the system's that owns nothing, with a range of ids behind all others."""
    try:
        pwd.getpwnam(DEFAULT_USER)
    except KeyError:
        await _run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", DEFAULT_USER)
    first = free_range(read_if_there(SUBUID), read_if_there(SUBGID))
    span = f"{first}-{first + RANGE_SIZE - 1}"
    for path, option in ((SUBUID, "--add-subuids"), (SUBGID, "--add-subgids")):
        if not any(owner == DEFAULT_USER for owner, _, _ in _lines(read_if_there(path))):
            await _run("usermod", option, span, DEFAULT_USER)


async def _run(name: str, *words: str) -> None:
    try:
        result = await process.run([f"/usr/sbin/{name}", *words], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except FileNotFoundError as error:
        raise Unsupported(f"--userns-remap=default needs {name} (apt-get install passwd)") from error
    if result.exit_code != 0:
        raise Unsupported(f"--userns-remap=default: {name}: {result.stderr.decode('utf-8', 'replace').strip()}")
