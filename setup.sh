# Sourced by ./check and ./demo: what this machine needs, installed once. Says clearly what is missing if it cannot go on.
#   setup            Debian packages, then .venv with the locked Python packages and the `naru` command
#   setup_tests      also what ./check needs
#   setup_docker     also a docker client in .venv/bin, without installing (and so starting) any engine
#   forbidden        prints what this host forbids that containers need, and how to allow it; nothing if they can run

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages="ca-certificates crun conmon libnftables1 python3 python3-venv mmdebstrap distro-info-data busybox-static curl tini"
missing() { echo "${0##*/}: $*" >&2; exit 1; }

apt_install() { # only what is not there; apt is asked once
  local want=() name
  for name in "$@"; do dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok' || want+=("$name"); done
  [ ${#want[@]} = 0 ] && return
  command -v apt-get >/dev/null || missing "needs these packages and cannot install them without apt: ${want[*]}"
  echo "Installing ${want[*]}"
  apt-get update -qq >/dev/null || missing "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null || missing "apt-get install failed"
}

setup() {
  [ "$(uname -s)" = Linux ] || missing "needs Linux"
  [ "$(id -u)" = 0 ] || missing "needs root: run it with sudo"
  # shellcheck disable=SC2086
  apt_install $packages
  [ ! -d /sys/kernel/security/apparmor ] || apt_install apparmor # its parser: a kernel can have AppArmor where nobody has that
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing "needs Python 3.11 or newer, this is $(python3 --version)"
  local want
  want=$(cat "$here/requirements.lock" "$here/pyproject.toml" "$here/setup.sh" | sha256sum)
  if [ "$(cat "$here/.venv/.made-from" 2>/dev/null)" != "$want" ]; then
    echo "Making .venv with the locked Python packages"
    [ -x "$here/.venv/bin/python" ] || python3 -m venv "$here/.venv" || missing "python3 -m venv failed"
    "$here/.venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$here/requirements.lock" || missing "pip install failed"
    launcher
    echo "$want" >"$here/.venv/.made-from"
  fi
}

launcher() { # python -I -S and one path: `naru ps` must not wait for what it does not use
  local site
  site=$("$here/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$here/src" >"$site/naru.pth"
  cat >"$here/.venv/bin/naru" <<E2
#!$here/.venv/bin/python -IS
import sys
sys.path[:0] = ["$here/src"]
sys.path.append("$site")
from naru.__main__ import main
sys.exit(main())
E2
  chmod +x "$here/.venv/bin/naru"
}

setup_tests() {
  apt_install iproute2 openssh-client openssl procps strace e2fsprogs chromium libatomic1 # what some tests look with (the last: the node of Playwright)
  postgresql
  setup_docker
}

postgresql() { # the programs, not a server that runs: tests start one of their own
  compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && return
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  apt_install postgresql
}

setup_docker() {
  command -v docker >/dev/null && return
  [ -x "$here/.venv/bin/docker" ] && return
  local temporary name
  temporary=$(mktemp -d)
  for name in docker-cli docker.io; do # whichever package of this release has the client
    (cd "$temporary" && apt-get download -qq "$name" >/dev/null 2>&1) || continue
    dpkg-deb -x "$temporary/$name"_*.deb "$temporary/files"
  done
  [ -x "$temporary/files/usr/bin/docker" ] || missing "cannot get a docker client: apt-get download docker-cli"
  mv "$temporary/files/usr/bin/docker" "$here/.venv/bin/docker"
  rm -r "$temporary"
}

forbidden() { # the first obstacle, in one line
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || { echo "this kernel has no overlayfs (modprobe overlay)"; return; }
  "$here/.venv/bin/python" - <<'PY'
import os, tempfile
from naru.linux import netns
from naru.linux.cgroup import Cgroup
from naru.linux.host import CGROUP_ROOT, probe
from naru.linux.mounts import Mount, in_private_namespace
from naru.linux.nft import Nft

def overlay() -> None:
    with tempfile.TemporaryDirectory() as top:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{top}/{name}")
        options = tuple(f"{name}dir={top}/{name}" for name in ("lower", "upper", "work"))
        in_private_namespace(lambda: Mount("overlay", "overlay", options).apply(f"{top}/merged"))

def cgroup() -> None:
    group = Cgroup(probe(), f"/naru-probe-{os.getpid()}")
    top = CGROUP_ROOT if probe().cgroup_version == 2 else f"{CGROUP_ROOT}/pids"
    os.mkdir(top + group.path)
    group.remove()

def firewall() -> None:
    name = f"naru-probe-{os.getpid()}"
    with Nft() as nft:
        nft.run(f"add table inet {name}\ndelete table inet {name}\n")

TRIALS = [
    ("mount an overlay (CAP_SYS_ADMIN; on a file system that overlayfs can stand on, which is not another overlay)", overlay),
    ("make a network namespace (CAP_SYS_ADMIN)", lambda: os.close(netns.create())),
    ("make a cgroup (/sys/fs/cgroup mounted read-write)", cgroup),
    ("make an nftables table (CAP_NET_ADMIN, a kernel with nf_tables)", firewall),
]
for what, trial in TRIALS:
    try:
        trial()
    except OSError as error:
        print(f"this host does not let us {what}: {error}. Inside a container: docker run --privileged -v /tmp/naru:/tmp")
        break
PY
}
