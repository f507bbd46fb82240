"""Every option of the daemon: the table from which flags, daemon.json keys, --help and docs/configuration.md are made.

Names are dockerd 29's. `OPTIONS` do something here; each is a field of `Config`. `FOREIGN` are dockerd's others: they are
taken where the value asks for nothing that we would not do anyway or where nobody can tell, and refused by name where
taking them would promise what is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from naru.daemon import values
from naru.daemon.values import Kind


@dataclass(frozen=True, slots=True)
class Option:
    field: str  # of Config
    key: str  # in daemon.json
    flags: tuple[str, ...]
    kind: Kind
    help: str
    reload: bool = False  # SIGHUP reads it again


@dataclass(frozen=True, slots=True)
class Foreign:
    """An option of dockerd's without a field: `harmless` values are taken, others refused; without any, all are taken."""

    key: str
    flags: tuple[str, ...]
    why: str
    harmless: tuple[object, ...] = field(default=())
    kind: Kind = values.TEXT


OPTIONS = (
    Option("hosts", "hosts", ("-H", "--host"), values.LIST, "Daemon socket(s) to listen on: unix://PATH, tcp://HOST[:PORT] or fd:// (from systemd)"),
    Option("data_root", "data-root", ("--data-root",), values.TEXT, "Root directory of persistent state"),
    Option("exec_root", "exec-root", ("--exec-root",), values.TEXT, "Root directory of execution state files"),
    Option("pidfile", "pidfile", ("-p", "--pidfile"), values.TEXT, "Path of the daemon's PID file (default: in the exec root)"),
    Option("group", "group", ("-G", "--group"), values.TEXT, "Group that owns the unix socket"),
    Option("tls", "tls", ("--tls",), values.SWITCH, "Use TLS on tcp sockets; implied by --tlsverify"),
    Option("tlsverify", "tlsverify", ("--tlsverify",), values.SWITCH, "Use TLS and ask clients for a certificate; false: allow tcp sockets without TLS, and whoever reaches them is root here"),
    Option("tlscacert", "tlscacert", ("--tlscacert",), values.TEXT, "Certificate of the CA that has signed the clients' certificates"),
    Option("tlscert", "tlscert", ("--tlscert",), values.TEXT, "The daemon's certificate"),
    Option("tlskey", "tlskey", ("--tlskey",), values.TEXT, "The key of the daemon's certificate"),
    Option("min_api_version", "min-api-version", (), values.TEXT, "Oldest API version that clients may use"),
    Option("bridge", "bridge", ("-b", "--bridge"), values.TEXT, "Name of the default bridge's interface"),
    Option("bip", "bip", ("--bip",), values.TEXT, "Address of the default bridge with its prefix: 10.20.0.1/24"),
    Option("mtu", "mtu", ("--mtu",), values.NUMBER, "MTU of the default bridge"),
    Option("icc", "icc", ("--icc",), values.SWITCH, "Let containers on the default bridge reach each other"),
    Option("ip", "ip", ("--ip",), values.ADDRESS, "Host address on which ports are published from the default bridge"),
    Option("ip_masq", "ip-masq", ("--ip-masq",), values.SWITCH, "Masquerade what leaves the default bridge"),
    Option("default_address_pools", "default-address-pools", ("--default-address-pool",), values.POOLS, "Where subnets of new networks are taken from: base=10.9.0.0/16,size=24"),
    Option("dns", "dns", ("--dns",), values.ADDRESSES, "DNS server of containers that name none"),
    Option("dns_options", "dns-opts", ("--dns-opt",), values.LIST, "DNS option of containers that name none"),
    Option("dns_search", "dns-search", ("--dns-search",), values.DOMAINS, "DNS search domain of containers that name none"),
    Option("host_gateway_ips", "host-gateway-ips", ("--host-gateway-ip",), values.ADDRESSES, "What `host-gateway` in --add-host stands for (default: the default bridge's address)"),
    Option("registry_mirrors", "registry-mirrors", ("--registry-mirror",), values.LIST, "Preferred mirror of docker.io", reload=True),
    Option("insecure_registries", "insecure-registries", ("--insecure-registry",), values.LIST, "Registry (HOST[:PORT] or CIDR) that may be used without TLS", reload=True),
    Option("default_registry", "default-registry", ("--default-registry",), values.TEXT, "Registry (HOST[:PORT]) that serves bare image names instead of docker.io"),
    Option("max_concurrent_downloads", "max-concurrent-downloads", ("--max-concurrent-downloads",), values.NUMBER, "Layers that are fetched at the same time", reload=True),
    Option("max_concurrent_uploads", "max-concurrent-uploads", ("--max-concurrent-uploads",), values.NUMBER, "Layers that are sent at the same time", reload=True),
    Option("max_download_attempts", "max-download-attempts", ("--max-download-attempts",), values.NUMBER, "How often a transfer is tried", reload=True),
    Option("default_runtime", "default-runtime", ("--default-runtime",), values.TEXT, "OCI runtime: crun, runc, a path, or one of `runtimes` (to which alone a reload can change it)", reload=True),
    Option("runtimes", "runtimes", ("--add-runtime",), values.RUNTIMES, "One more OCI runtime: name=/path", reload=True),
    Option("cgroup_parent", "cgroup-parent", ("--cgroup-parent",), values.TEXT, "Parent cgroup of all containers"),
    Option("userns_remap", "userns-remap", ("--userns-remap",), values.TEXT, "User (USER[:GROUP], or default) whose subordinate ids containers have as theirs"),
    Option("exec_opts", "exec-opts", ("--exec-opt",), values.LIST, "native.cgroupdriver=cgroupfs, which is how it is; systemd is refused"),
    Option("default_cgroupns_mode", "default-cgroupns-mode", ("--default-cgroupns-mode",), values.TEXT, "Cgroup namespace of containers that say nothing: host or private (default: private on cgroup v2)", reload=True),
    Option("default_ipc_mode", "default-ipc-mode", ("--default-ipc-mode",), values.TEXT, "IPC namespace of containers that say nothing: shareable or private", reload=True),
    Option("default_shm_size", "default-shm-size", ("--default-shm-size",), values.SIZE, "Size of /dev/shm of containers that say nothing", reload=True),
    Option("default_stop_timeout", "default-stop-timeout", ("--default-stop-timeout",), values.NUMBER, "Seconds that a stopped container is given to end", reload=True),
    Option("default_ulimits", "default-ulimits", ("--default-ulimit",), values.ULIMITS, "Limit of containers that do not set it: nofile=1024:2048"),
    Option("init", "init", ("--init",), values.SWITCH, "Run an init in containers that say nothing"),
    Option("init_path", "init-path", ("--init-path",), values.TEXT, "Path of the init program (default: docker-init, tini or catatonit)"),
    Option("no_new_privileges", "no-new-privileges", ("--no-new-privileges",), values.SWITCH, "Set no-new-privileges for containers that say nothing"),
    Option("seccomp_profile", "seccomp-profile", ("--seccomp-profile",), values.TEXT, "Seccomp profile of containers that name none: builtin, unconfined, or a file"),
    Option("metrics_addr", "metrics-addr", ("--metrics-addr",), values.TEXT, "Serve metrics for Prometheus at http://ADDR/metrics"),
    Option("log_level", "log-level", ("-l", "--log-level"), values.TEXT, "debug, info, warn, error or fatal", reload=True),
    Option("log_format", "log-format", ("--log-format",), values.TEXT, "text or json"),
    Option("debug", "debug", ("-D", "--debug"), values.SWITCH, "The same as --log-level debug", reload=True),
    Option("labels", "labels", ("--label",), values.LABELS, "Label (key=value) of the daemon", reload=True),
    Option("features", "features", ("--feature",), values.FEATURES, "Feature (name[=BOOL]); shown, and without effect", reload=True),
    Option("experimental", "experimental", ("--experimental",), values.SWITCH, "Offer what Docker calls experimental: checkpoints"),
    Option("cdi_spec_dirs", "cdi-spec-dirs", ("--cdi-spec-dir",), values.LIST, "Directories of CDI specifications"),
    Option("shutdown_timeout", "shutdown-timeout", ("--shutdown-timeout",), values.NUMBER, "Seconds that requests under way are given when the daemon stops; containers run on; -1: no limit", reload=True),
    Option("log_driver", "log-driver", ("--log-driver",), values.TEXT, "Log driver of containers that ask for none"),
    Option("log_opts", "log-opts", ("--log-opt",), values.PAIRS, "Option (key=value) of that driver"),
)  # fmt: skip

_ALWAYS = "containers always go on without the daemon"
_NFT = "rules are in an nftables table of our own"
FOREIGN = (
    Foreign("live-restore", ("--live-restore",), _ALWAYS, kind=values.SWITCH),
    Foreign("storage-driver", ("-s", "--storage-driver"), "layers are on overlayfs", ("", "overlay2", "overlayfs")),
    Foreign("storage-opts", ("--storage-opt",), "the storage driver has no options", ((),), values.LIST),
    Foreign("iptables", ("--iptables",), _NFT, kind=values.SWITCH),
    Foreign("ip6tables", ("--ip6tables",), _NFT, kind=values.SWITCH),
    Foreign("firewall-backend", ("--firewall-backend",), _NFT, ("", "nftables")),
    Foreign("ip-forward", ("--ip-forward",), "forwarding is turned on", kind=values.SWITCH),
    Foreign("ip-forward-no-drop", ("--ip-forward-no-drop",), "no policy of the host's is changed", kind=values.SWITCH),
    Foreign("userland-proxy", ("--userland-proxy",), "ports are published without processes", kind=values.SWITCH),
    Foreign("userland-proxy-path", ("--userland-proxy-path",), "ports are published without processes"),
    Foreign("raw-logs", ("--raw-logs",), "the log is never coloured", kind=values.SWITCH),
    Foreign("containerd", ("--containerd",), "there is no containerd"),
    Foreign("containerd-namespace", ("--containerd-namespace",), "there is no containerd"),
    Foreign("containerd-plugin-namespace", ("--containerd-plugins-namespace",), "there is no containerd"),
    Foreign("cri-containerd", ("--cri-containerd",), "there is no containerd", (False,), values.SWITCH),
    Foreign("network-control-plane-mtu", ("--network-control-plane-mtu",), "there is no swarm", kind=values.NUMBER),
    Foreign("swarm-default-advertise-addr", ("--swarm-default-advertise-addr",), "there is no swarm"),
    Foreign("node-generic-resources", ("--node-generic-resource",), "there is no swarm", kind=values.LIST),
    Foreign("apparmor-profile", ("--apparmor-profile",), "the profile docker-default is the only one", ("",)),
    Foreign("authorization-plugins", ("--authorization-plugin",), "plugins are not supported", ((),), values.LIST),
    Foreign("extension-dirs", ("--extension-dir",), "plugins are not supported", ((),), values.LIST),
    Foreign("nri-opts", ("--nri-opts",), "NRI is not supported", ("enable=false", {}, {"enable": False}), values.ANYTHING),
    Foreign("selinux-enabled", ("--selinux-enabled",), "SELinux is not supported", (False,), values.SWITCH),
    Foreign("rootless", ("--rootless",), "rootless mode is not supported", (False,), values.SWITCH),
    Foreign("cpu-rt-period", ("--cpu-rt-period",), "real-time limits of the parent cgroup are not supported", (0,), values.NUMBER),
    Foreign("cpu-rt-runtime", ("--cpu-rt-runtime",), "real-time limits of the parent cgroup are not supported", (0,), values.NUMBER),
    Foreign("ipv6", ("--ipv6",), "IPv6 on the default bridge is not supported", (False,), values.SWITCH),
    Foreign("bip6", ("--bip6",), "IPv6 on the default bridge is not supported", ("",)),
    Foreign("fixed-cidr-v6", ("--fixed-cidr-v6",), "IPv6 on the default bridge is not supported", ("",)),
    Foreign("default-gateway-v6", ("--default-gateway-v6",), "IPv6 on the default bridge is not supported", ("",)),
    Foreign("default-gateway", ("--default-gateway",), "the default bridge is its own gateway", ("",)),
    Foreign("fixed-cidr", ("--fixed-cidr",), "the default bridge gives out all of its subnet", ("",)),
    Foreign("default-network-opts", ("--default-network-opt",), "default options of networks are not supported", ({}, ()), values.ANYTHING),
    Foreign("bridge-accept-fwmark", ("--bridge-accept-fwmark",), "marks are not supported", ("",)),
    Foreign("allow-direct-routing", ("--allow-direct-routing",), "direct routing to containers is not supported", (False,), values.SWITCH),
    Foreign("http-proxy", ("--http-proxy",), "proxies are not supported", ("",)),
    Foreign("https-proxy", ("--https-proxy",), "proxies are not supported", ("",)),
    Foreign("no-proxy", ("--no-proxy",), "proxies are not used"),
    Foreign("proxies", (), "proxies are not supported", ({},), values.ANYTHING),
)  # fmt: skip
