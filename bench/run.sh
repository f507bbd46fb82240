#!/usr/bin/env bash
# Naru beside Docker, as docs/performance.md has it: bench/run.sh [ROUNDS [CASE…]]
# Starts a naru daemon and Debian's dockerd (docker.io, containerd and runc, unpacked aside, not installed) on private directories,
# sockets and bridges, and measures them in one interleaved run.
#   RELEASE=/trixie          where apt has the newer docker.io, on an older Debian
#   PEER=NAME=unix:///SOCKET one more engine, which runs already; it is only talked to
set -euo pipefail
cd "$(dirname "$0")/.."
. ./setup.sh
setup
setup_docker
export PATH=$PWD/.venv/bin:$PATH
apt_install iptables
rounds=${1:-15}
store=${BENCH_STORE:-/tmp/naru-bench}
dir=$(mktemp -d /tmp/nb.XXXX)
tag=${dir##*.}
daemons=()
finish() {
  local pid
  docker -H "unix://$dir/docker.sock" rm -f $(docker -H "unix://$dir/docker.sock" ps -aq 2>/dev/null) >/dev/null 2>&1 || true
  naru -H "unix://$dir/naru.sock" system prune -af >/dev/null 2>&1 || true
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait || true
  python - "$dir/naru" "nb$tag" <<'PY'
import asyncio, sys
from naru.daemon.teardown import remove_networks
from naru.linux.cgroup import Cgroup
from naru.linux.host import probe
from naru.linux.netlink import Netlink, delete_link

async def down(directory: str, bridge: str) -> None:
    await remove_networks(directory, bridge)
    with Netlink() as host:
        if host.link(f"{bridge}d") is not None:
            host.run(delete_link(f"{bridge}d"))
    Cgroup(probe(), f"/{bridge}").remove()

asyncio.run(down(*sys.argv[1:]))
PY
  rmdir /sys/fs/cgroup/"nb${tag}d" /sys/fs/cgroup/*/"nb${tag}d" 2>/dev/null || true
  umount -q "$dir"/docker-run/netns/* "$dir"/docker/* 2>/dev/null || true
  rm -rf --one-file-system "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

peer() { # Debian's own dockerd, containerd and runc; its bridge is ours, and it leaves the host's firewall alone
  [ -x "$store/usr/sbin/dockerd" ] || {
    mkdir -p "$store"
    (cd "$store" && for name in docker.io containerd runc; do apt-get download -qq "$name$RELEASE"; done && for deb in *.deb; do dpkg-deb -x "$deb" .; done) >/dev/null 2>&1 ||
      missing "cannot get docker.io, containerd and runc with apt-get download"
  }
  python - "nb${tag}d" <<'PY'
import sys
from naru.linux.netlink import Netlink, add_address, add_bridge, index_of, set_up
with Netlink() as host:
    host.run(add_bridge(sys.argv[1], mac="02:42:0a:5b:00:01", mtu=1500))
    host.run(set_up(index_of(sys.argv[1])), add_address(index_of(sys.argv[1]), "10.91.0.1", 24))
PY
  mkdir -p "$dir/containerd"
  printf 'version = 2\nroot = "%s/root"\nstate = "%s/state"\n[grpc]\naddress = "%s/c.sock"\n[ttrpc]\naddress = "%s/c.ttrpc"\n' \
    "$dir/containerd" "$dir/containerd" "$dir" "$dir" >"$dir/containerd.toml"
  PATH=$store/usr/bin:$store/usr/sbin:$PATH containerd --config "$dir/containerd.toml" >"$dir/containerd.log" 2>&1 &
  daemons+=($!)
  until [ -S "$dir/c.sock" ]; do kill -0 $! && sleep 0.1; done
  PATH=$store/usr/bin:$store/usr/sbin:$PATH dockerd --containerd "$dir/c.sock" --host "unix://$dir/docker.sock" --data-root "$dir/docker" \
    --exec-root "$dir/docker-run" --pidfile "$dir/docker.pid" --config-file /dev/null --bridge "nb${tag}d" --iptables=false --ip6tables=false \
    --cgroup-parent "/nb${tag}d" >"$dir/dockerd.log" 2>&1 &
  daemons+=($!)
  until docker -H "unix://$dir/docker.sock" version >/dev/null 2>&1; do kill -0 $! || { tail "$dir/dockerd.log" >&2; exit 1; }; sleep 0.1; done
}
subject() {
  naru daemon --host "unix://$dir/naru.sock" --data-root "$dir/naru" --exec-root "$dir/run" --bridge "nb$tag" --cgroup-parent "nb$tag" >"$dir/naru.log" 2>&1 &
  daemons+=($!)
  until naru -H "unix://$dir/naru.sock" version >/dev/null 2>&1; do kill -0 $! || { tail "$dir/naru.log" >&2; exit 1; }; sleep 0.1; done
}
RELEASE=${RELEASE:-}
peer
subject
mkdir "$dir/image" "$dir/image/bin"
cp /bin/busybox "$dir/image/bin/"
for name in sh true sleep yes head seq; do ln -s busybox "$dir/image/bin/$name"; done
for socket in "unix://$dir/docker.sock" "unix://$dir/naru.sock" ${PEER:+"${PEER#*=}"}; do
  tar -C "$dir/image" -c . | docker -H "$socket" import - demo-bench:1 >/dev/null
done
pids="--pid docker=${daemons[0]},${daemons[1]} --pid naru=${daemons[2]}"
# shellcheck disable=SC2086
python bench/sidebyside.py --engine "docker=unix://$dir/docker.sock" ${PEER:+--engine "$PEER"} --engine "naru=unix://$dir/naru.sock" \
  $pids --image demo-bench:1 --rounds "$rounds" "${@:2}"
[ -z "${PEER:-}" ] || docker -H "${PEER#*=}" rmi demo-bench:1 >/dev/null
