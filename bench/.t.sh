. ./setup.sh; setup; apt_install iproute2 openssh-client openssl procps; setup_docker; export PATH=$PWD/.venv/bin:$PATH; python -m pytest -x --maxfail=1000 --tb=short "$@" | cat
echo =====LOGS
naru daemon --bridge demofr --bip 10.93.0.1/24 --host unix:///tmp/f.sock --data-root /tmp/fd --exec-root /tmp/fe --cgroup-parent demofr >/tmp/fd.log 2>&1 &
sleep 2; export DOCKER_HOST=unix:///tmp/f.sock
mkdir -p r/bin; cp /bin/busybox r/bin/; ln -s busybox r/bin/sh; tar -C r -c . | naru import - bb
naru run --name a bb sh -c 'for i in 1 2; do echo out$i; done; printf end'
cat /tmp/fd/containers/*/*.log
naru rm a; naru run --name b bb nosuch; naru run --name b2 bb /bin; naru run --name b3 bb /nosuch; naru run bb /etc/hosts
ip link | grep -A1 demofr; naru rm -f $(naru ps -aq); sleep 1;  ip link | grep -A1 demofr
cat /tmp/fd.log
kill %1; wait; ip link del demofr; nft delete table inet naru-demofr || python -c "
from naru.linux.nft import Nft
with Nft() as n: n.run('delete table inet naru-demofr')"
