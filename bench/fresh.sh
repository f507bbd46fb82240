#!/usr/bin/env bash
# ./demo and ./check on a fresh system: bench/fresh.sh [SUITE [COMMAND…]]   (bookworm, trixie; noble where a mirror has it)
# The system is what mmdebstrap makes with python3 and ca-certificates, in mount and pid namespaces of its own that end with
# it; kernel, network and name servers are this host's. What it takes from this host beyond that is how to reach the package
# registries: pip's configuration, certificates and the PIP_* variables.
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
  mmdebstrap --quiet --format=tar --variant=minbase --components=$components --include=python3,ca-certificates "$suite" "$store/$suite.part"
  mv "$store/$suite.part" "$store/$suite.tar"
}
root=$(mktemp -d "$store/$suite.XXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM
tar -C "$root" -xf "$store/$suite.tar"
mkdir "$root/root/naru" "$root/host"
tar -C "$repository" -c --exclude=./.venv --exclude=./.git --exclude='./.*_cache' --exclude=./.hypothesis --exclude=__pycache__ . | tar -C "$root/root/naru" -x
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
unset PIP_FIND_LINKS DEBIAN_FRONTEND
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unshare --mount --pid --fork --kill-child bash -euc '
  root=$1; shift
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
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
  "$@"' fresh "$root" "$@"
