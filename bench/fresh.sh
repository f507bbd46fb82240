#!/usr/bin/env bash
# ./demo and ./check on a fresh system: bench/fresh.sh [SUITE [COMMAND…]]   (bookworm, trixie; noble where a mirror has it)
# The system is what mmdebstrap makes with python3 and ca-certificates, in mount, pid and network namespaces of its own that end
# with it. Kernel and name servers are this host's, which also leads it to the network through NAT. (A network namespace of
# its own, since nft programs of different releases cannot always read each other's tables: old ones crash.) What it takes from
# this host beyond that is how to reach the package registries: pip's configuration, certificates and the PIP_* variables.
set -euo pipefail
suite=${1:-bookworm}
shift || true
[ $# -gt 0 ] || set -- bash -c './demo && ./demo && ./check'
repository=$(cd "$(dirname "$0")/.." && pwd)
store=${FRESH_STORE:-/tmp/naru-fresh}
mkdir -p "$store"
components=main
[ "$suite" != noble ] || components=main,universe
[ -e "$store/$suite.tar" ] || {
  mmdebstrap --quiet --format=tar --variant=minbase --components=$components --include=apt,python3,ca-certificates "$suite" "$store/$suite.part"
  mv "$store/$suite.part" "$store/$suite.tar"
}
root=$(mktemp -d "$store/$suite.XXXX")
name=nf${root##*.} subnet=10.92.$((RANDOM % 256))
neighbours() { "$repository/.venv/bin/python" -c 'import sys; from naru.networks.neighbours import settle; settle(sys.argv[1], sys.argv[2:])' "$name" "$@"; }
finish() {
  [ -z "${pid:-}" ] || kill -KILL "$pid" 2>/dev/null || true
  neighbours
  nft delete table ip "$name" 2>/dev/null || true
  ip link delete "$name" 2>/dev/null || true
  ip netns delete "$name" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap finish EXIT
trap 'exit 130' INT TERM
ip netns add "$name"
ip link add "$name" type veth peer name eth0 netns "$name"
ip address add "$subnet.1/24" dev "$name"
ip link set "$name" up
ip -n "$name" link set lo up
ip -n "$name" address add "$subnet.2/24" dev eth0
ip -n "$name" link set eth0 up
ip -n "$name" route add default via "$subnet.1"
nft "table ip $name { chain postrouting { type nat hook postrouting priority srcnat; ip saddr $subnet.0/24 oifname != \"$name\" masquerade; }; }"
sysctl -qw net.ipv4.ip_forward=1
neighbours "$name"
tar -C "$root" -xf "$store/$suite.tar"
mkdir "$root/root/naru" "$root/host"
tar -C "$repository" -c --exclude=./.venv --exclude=./.git --exclude='./.*_cache' --exclude=./.hypothesis --exclude=__pycache__ . | tar -C "$root/root/naru" -x
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
unset PIP_FIND_LINKS DEBIAN_FRONTEND
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
nsenter --net="/run/netns/$name" unshare --mount --pid --fork --kill-child bash -euc '
  root=$1; shift
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys" # with the interfaces of its own network namespace
  mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"
  mount --make-rslave "$root/sys"
  mount --make-rslave "$root/dev"
  cd "$root"
  pivot_root . host
  cd /root/naru
  umount -l /host
  . /etc/os-release
  echo "A fresh $PRETTY_NAME with $(python3 --version)"
  "$@" && exit # not the last word, which bash would become: process 1 has to reap, as everywhere
' fresh "$root" "$@" &
pid=$!
wait "$pid"
