"""The flags of `run` and `create`: text only, and the grammar that the two are parsed by."""

from __future__ import annotations

_HEAD = """\
Usage:  naru {verb} [OPTIONS] IMAGE [COMMAND] [ARG...]

Options:
"""

_RUN_ONLY = """\
  -d, --detach                           Run the container in the background and print its ID
      --detach-keys string               Keys that detach from the container (default "ctrl-p,ctrl-q")
      --sig-proxy                        Send the signals that we get to the container (default true)
"""

_BOTH = """\
      --add-host list                    Add a line to the container's hosts file (host:ip)
      --annotation map                   Add an annotation, passed through to the OCI runtime
  -a, --attach list                      Attach to STDIN, STDOUT or STDERR
      --blkio-weight uint16              Block IO weight, 10 to 1000, or 0 to disable
      --cap-add list                     Add Linux capabilities
      --cap-drop list                    Drop Linux capabilities
      --cgroup-parent string             Parent cgroup of the container
      --cgroupns string                  Cgroup namespace: "host" or "private"
      --cidfile string                   Write the container's ID to this file
      --cpu-period int                   CFS period in microseconds
      --cpu-quota int                    CFS quota in microseconds
      --cpu-rt-period int                Real-time period in microseconds
      --cpu-rt-runtime int               Real-time runtime in microseconds
  -c, --cpu-shares int                   Relative CPU weight
      --cpus decimal                     Number of CPUs, also fractions
      --cpuset-cpus string               CPUs to run on (0-3, 0,1)
      --cpuset-mems string               Memory nodes to use (0-3, 0,1)
      --device list                      Give the container a device of the host (/dev/x[:/dev/y[:rwm]])
      --device-cgroup-rule list          Add a rule to the list of allowed devices
      --device-read-bps list             Limit reads from a device (/dev/x:10mb a second)
      --device-read-iops list            Limit reads from a device (/dev/x:1000 a second)
      --device-write-bps list            Limit writes to a device (/dev/x:10mb a second)
      --device-write-iops list           Limit writes to a device (/dev/x:1000 a second)
      --dns list                         DNS servers
      --dns-option list                  DNS options
      --dns-search list                  DNS search domains
      --domainname string                NIS domain name
      --entrypoint string                Replace the image's ENTRYPOINT
  -e, --env list                         Set environment variables
      --env-file list                    Read environment variables from a file
      --expose list                      Expose a port or a range of ports
      --group-add list                   Additional groups to join
      --health-cmd string                Command that tells whether the container is healthy
      --health-interval duration         Time between two checks (ms|s|m|h)
      --health-on-failure string         What becomes of it when it is unhealthy: none, kill, restart or stop
      --health-retries int               Failures in a row before it counts as unhealthy
      --health-start-interval duration   Time between two checks during the start period (ms|s|m|h)
      --health-start-period duration     Time to start up before failures count (ms|s|m|h)
      --health-timeout duration          Time that a check may take (ms|s|m|h)
  -h, --hostname string                  Host name
      --init                             Run an init that forwards signals and reaps processes
  -i, --interactive                      Keep STDIN open even if not attached
      --ip string                        IPv4 address (172.30.100.104)
      --ip6 string                       IPv6 address (2001:db8::33)
      --ipc string                       IPC mode
  -l, --label list                       Set metadata
      --label-file list                  Read labels from a file
      --link list                        Add a link to another container
      --link-local-ip list               Link-local addresses
      --log-driver string                Logging driver
      --log-opt list                     Options of the logging driver
      --mac-address string               MAC address (92:d0:c6:0a:29:33)
  -m, --memory bytes                     Memory limit
      --memory-reservation bytes         Memory soft limit
      --memory-swap bytes                Limit of memory plus swap, -1 for unlimited swap
      --memory-swappiness int            Swappiness, 0 to 100
      --mount mount                      Attach a filesystem (type=bind,source=/a,target=/b,readonly)
      --name string                      Name of the container
      --network network                  Connect to a network
      --network-alias list               Name of the container on that network
      --no-healthcheck                   Ignore the image's HEALTHCHECK
      --oom-kill-disable                 Disable the OOM killer
      --oom-score-adj int                OOM preference, -1000 to 1000
      --pid string                       PID namespace
      --pids-limit int                   Limit of processes, -1 for none
      --platform string                  Platform, if the daemon can run several
      --privileged                       Give extended privileges to the container
  -p, --publish list                     Publish ports on the host ([[ip:]port:]port[/protocol])
  -P, --publish-all                      Publish every exposed port on a random port
      --pull string                      Pull the image: "always", "missing" or "never" (default "missing")
  -q, --quiet                            Suppress the output of pull
      --read-only                        Mount the root filesystem read only
      --restart string                   Restart policy: no, on-failure[:max], always, unless-stopped (default "no")
      --rm                               Remove the container and its anonymous volumes when it exits
      --runtime string                   OCI runtime
      --security-opt list                Security options
      --shm-size bytes                   Size of /dev/shm
      --stop-signal string               Signal that stops the container
      --stop-timeout int                 Seconds to wait for it to stop
      --storage-opt list                 Options of the storage driver
      --sysctl map                       Kernel parameters of the container's namespaces
      --tmpfs list                       Mount a tmpfs
  -t, --tty                              Allocate a pseudo-TTY
      --ulimit ulimit                    Limits (nofile=1024:2048)
  -u, --user string                      User and group: <name|uid>[:<group|gid>]
      --userns string                    User namespace
      --uts string                       UTS namespace
  -v, --volume list                      Mount a volume or a path of the host ([source:]target[:options])
      --volume-driver string             Driver of the volumes that are created
      --volumes-from list                Mount the volumes of another container
  -w, --workdir string                   Working directory inside the container
Hidden:
      --net network                      = --network
      --net-alias list                   = --network-alias
      --dns-opt list                     = --dns-option
      --gpus string                      refused: this client cannot ask for GPUs
      --disable-content-trust            ignored (default true)
"""

HELP = {
    "run": _HEAD.format(verb="run") + _RUN_ONLY + _BOTH,
    "create": _HEAD.format(verb="create") + _BOTH,
}
