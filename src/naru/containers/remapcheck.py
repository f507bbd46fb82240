"""Whether this host can do what `userns-remap` needs, found out once, by doing it, before a container is in the way of it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile

from naru.containers.remap import Remap
from naru.errors import Unsupported
from naru.linux.idmapped import apply_shifted
from naru.linux.mounts import Mount, in_private_namespace


def check(remap: Remap, data_root: str) -> None:
    """The directory for root file systems is there when this returns. Blocks some milliseconds. Raises Unsupported."""
    os.makedirs(remap.root, exist_ok=True)
    os.chmod(remap.root, 0o711)  # root file systems are mounted here where nobody but their container sees them
    _passable(remap.root)
    try:
        shift, network = remap.create()
    except OSError as error:
        raise Unsupported(f"--userns-remap: {error.strerror or error}") from error
    os.close(network)
    scratch = tempfile.mkdtemp(prefix="idmap-", dir=data_root)
    try:
        for name in ("low", "up", "work", "layers"):
            os.mkdir(f"{scratch}/{name}")
        options = ("lowerdir=low", "upperdir=up", "workdir=work")
        overlay = Mount("overlay", "overlay", options, cwd=scratch)

        def write() -> int:
            apply_shifted([overlay], remap.root, shift, f"{scratch}/layers")
            return os.stat(remap.root).st_uid if not os.statvfs(remap.root).f_flag & os.ST_RDONLY else -1

        owner = in_private_namespace(write)
    except OSError as error:
        raise Unsupported(
            f"--userns-remap needs mounts with mapped ids (Linux 5.19), which {data_root} cannot have: {error.strerror}"
        ) from error
    finally:
        os.close(shift.fd)
        shutil.rmtree(scratch)
    if owner != remap.maps.root[0]:
        raise Unsupported("--userns-remap: this kernel's overlayfs cannot stand on mounts with mapped ids (Linux 5.19)")


def _passable(path: str) -> None:
    """Docker asks the same of its data root. Raises Unsupported."""
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            raise Unsupported(
                f"--userns-remap: {path} restricts access to the remapped root; allow others to pass: chmod o+x {path}"
            )
