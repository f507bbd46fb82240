#!/usr/bin/env bash
# A command in a virtual machine with this repository: bench/guest.sh [COMMAND], as in  bench/guest.sh './check -m "not slow"'
# Without a command, a shell. It is a Debian of its own, as most users have it: cgroup v2 alone, systemd, Debian's kernel.
#   GUEST_SUITE   trixie (kernel 6.12, systemd 257; the default) or bookworm (6.1, 252)
#   GUEST_INIT    systemd (the default) or plain: a small shell script as PID 1, which mounts cgroup2 and starts sshd
#   GUEST_CPUS GUEST_MEMORY GUEST_STORE   1, 2G, /tmp/naru-guest: where kernel, system and the machine's qemu are kept
# Every run begins with the same disk, on which ./setup.sh has been run, and forgets what it writes. Nothing is installed
# on this host and no port but one of 127.0.0.1 is opened: qemu has a root file system of its own, and ends with this script.
set -euo pipefail
suite=${GUEST_SUITE:-trixie} init=${GUEST_INIT:-systemd} store=${GUEST_STORE:-/tmp/naru-guest}
here=$(cd "$(dirname "$0")/.." && pwd)
disk=$store/$suite.img
system=linux-image-cloud-amd64,systemd-sysv,udev,dbus,kmod,iproute2,openssh-server,ca-certificates,python3,procps,apparmor
say() { echo "guest: $*" >&2; }
fail() { say "$*"; exit 1; }

# --- made once -----------------------------------------------------------------------------------------------------

debian() { # debian SUITE PACKAGES DIRECTORY [HOOK…]: a root file system; hooks run in mmdebstrap, for its chroot "$1"
  local suite=$1 packages=$2 root=$3
  shift 3
  say "making $root (once)"
  rm -rf --one-file-system "$root" "$root.part"
  mmdebstrap --quiet --variant=minbase --include="$packages" "${@/#/--customize-hook=}" "$suite" "$root.part" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; fail "mmdebstrap failed: see $root.log"; }
  mv "$root.part" "$root"
}
repository() { # as it stands here; its .venv is the guest's own
  tar -C "$here" -c --exclude=./.venv --exclude=./.git --exclude='./.*_cache' --exclude=./.hypothesis --exclude=__pycache__ .
}
make_disk() { # a new one for each state of what it is made from. ./setup.sh runs in a chroot: emulated, it takes ten times longer
  local want root=$store/$suite.root
  want=$(cat "$here/requirements.lock" "$here/pyproject.toml" "$here/setup.sh" "$here/bench/guest.sh" | sha256sum | cut -d" " -f1)
  [ "$(cat "$disk.made-from" 2>/dev/null)" != "$want" ] || return 0
  rm -f "$disk" "$disk.made-from"
  repository >"$store/repository.tar"
  # Of this host it gets what leads to the package registries: pip's configuration and the certificates.
  local pip=true
  [ ! -e /etc/pip.conf ] || pip='upload /etc/pip.conf /etc/pip.conf'
  # shellcheck disable=SC2016
  debian "$suite" "$system" "$root" "$pip" 'mkdir "$1/root/naru"' "tar-in $store/repository.tar /root/naru" \
    'upload /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt' \
    'chroot "$1" env -u PIP_FIND_LINKS HOME=/root bash -euc "cd /root/naru; . ./setup.sh; setup; setup_tests"'
  configure "$root"
  cp "$root"/boot/vmlinuz-* "$store/$suite.kernel"
  cp "$root"/boot/initrd.img-* "$store/$suite.initrd"
  truncate -s 8G "$disk"
  mke2fs -q -F -t ext4 -d "$root" "$disk"
  rm -r --one-file-system "$root"
  echo "$want" >"$disk.made-from"
}
configure() { # what makes a bootable system of a root file system
  local root=$1
  install -D -m 600 "$store/key.pub" "$root/root/.ssh/authorized_keys"
  printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
  printf 'naru-guest\n' >"$root/etc/hostname"
  printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf"
  printf '127.0.0.1 localhost naru-guest\n' >"$root/etc/hosts"
  printf '[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >"$root/etc/systemd/network/eth0.network"
  ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
  cat >"$root/sbin/plain-init" <<'PLAIN'
#!/bin/bash
# What a host without systemd does at least. Bash, as PID 1, reaps whatever is left to it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /dev/pts /dev/shm /run/sshd
mount -t devpts -o mode=620,gid=5 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -o remount,rw /
hostname naru-guest
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
/usr/sbin/sshd -D &
while :; do wait; done
PLAIN
  chmod 755 "$root/sbin/plain-init"
}

# --- the machine ---------------------------------------------------------------------------------------------------

boot() { # qemu's pid is in $machine, the port of its sshd in $port
  accel=${GUEST_ACCEL:-}
  local model=max program=/sbin/init
  [ -n "$accel" ] || accel=$([ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo && echo kvm || echo tcg)
  [ "$accel" = tcg ] || model=host
  [ "$init" = systemd ] || program=/sbin/plain-init
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  # shellcheck disable=SC2016
  unshare --mount bash -euc '
    root=$1 store=$2; shift 2
    mount --make-rprivate /
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mkdir -p "$root/store"
    mount --bind "$store" "$root/store"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    exec setpriv --pdeathsig KILL chroot "$root" qemu-system-x86_64 "$@"' qemu "$store/qemu" "$store" \
    -accel "$accel" -cpu "$model" -smp "${GUEST_CPUS:-1}" -m "${GUEST_MEMORY:-2G}" -nodefaults -no-reboot -display none \
    -serial "file:/store/$suite.console" -kernel "/store/$suite.kernel" -initrd "/store/$suite.initrd" \
    -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet init=$program" \
    -drive "file=/store/$suite.img,if=virtio,format=raw,snapshot=on" -device virtio-rng-pci \
    -nic "user,model=virtio,hostfwd=tcp:127.0.0.1:$port-:22" </dev/null &
  machine=$!
  local began=$SECONDS
  until guest true 2>/dev/null; do
    kill -0 "$machine" 2>/dev/null || fail "qemu has ended: see $store/$suite.console"
    [ $((SECONDS - began)) -lt 300 ] || fail "it does not come up: see $store/$suite.console"
    sleep 0.2
  done
}
guest() { # a command line in the guest
  ssh -q -i "$store/key" -p "$port" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
    -o ConnectTimeout=10 -o ServerAliveInterval=30 "${terminal[@]}" root@127.0.0.1 "$@"
}
halt() {
  [ -n "${machine:-}" ] || return 0
  kill -KILL "$machine" 2>/dev/null || true # its disk is a snapshot
  wait "$machine" 2>/dev/null || true
  machine=
}
terminal=()
mkdir -p "$store"
exec 9>"$store/lock"
flock -n 9 || fail "another guest of $store runs: give this one a GUEST_STORE of its own"
trap halt EXIT
trap 'exit 130' INT TERM HUP
[ -e "$store/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$store/key"
[ -d "$store/qemu" ] || debian trixie qemu-system-x86 "$store/qemu"
make_disk
boot
repository | guest 'tar -C naru -x --no-same-owner --warning=no-timestamp'
say "$suite with $accel is up after $SECONDS s; another shell: ssh -i $store/key -p $port root@127.0.0.1"
[ ! -t 0 ] || terminal=(-t)
command=${1:-exec bash -l}
shift || true
code=0
guest "cd naru && export PATH=\$PWD/.venv/bin:\$PATH && $command $*" <&0 & # so that a signal ends this script at once
wait $! || code=$?
exit "$code"
