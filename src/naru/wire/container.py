"""What a client asks for when it creates a container (Engine API v1.56, `ContainerCreate`), echoed by inspect.

These structs are kept in the container's record as the client gave them, defaults filled in: a request is by nature in
the client's words. All that the engine itself knows about a container is in `containers.records`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class _Wire(msgspec.Struct, frozen=True, rename="pascal", kw_only=True): ...


class _Sparse(_Wire, frozen=True, rename="pascal", kw_only=True, omit_defaults=True): ...


class Healthcheck(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    """Durations in nanoseconds; 0 inherits, `Test` empty inherits, ["NONE"] switches off."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Config(_Wire, frozen=True, rename="pascal", kw_only=True):
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    entrypoint: list[str] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class LogConfig(_Wire, frozen=True, rename="pascal", kw_only=True):
    type: str = ""
    config: dict[str, str] | None = None


class PortBinding(_Wire, frozen=True, rename="pascal", kw_only=True):
    host_ip: str = ""
    host_port: str = ""


class RestartPolicy(_Wire, frozen=True, rename="pascal", kw_only=True):
    name: str = ""
    maximum_retry_count: int = 0


class Device(_Wire, frozen=True, rename="pascal", kw_only=True):
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(_Wire, frozen=True, rename="pascal", kw_only=True):
    driver: str = ""
    count: int = 0
    device_ids: list[str] | None = field(default=None, name="DeviceIDs")
    capabilities: list[list[str]] | None = None
    options: dict[str, str] | None = None


class Ulimit(_Wire, frozen=True, rename="pascal", kw_only=True):
    name: str = ""
    hard: int = 0
    soft: int = 0


class ThrottleDevice(_Wire, frozen=True, rename="pascal", kw_only=True):
    path: str = ""
    rate: int = 0


class WeightDevice(_Wire, frozen=True, rename="pascal", kw_only=True):
    path: str = ""
    weight: int = 0


class BindOptions(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeDriver(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    no_copy: bool = False
    labels: dict[str, str] | None = None
    driver_config: VolumeDriver | None = None
    subpath: str = ""


class ImageOptions(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    subpath: str = ""


class TmpfsOptions(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class MountRequest(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class Resources(_Wire, frozen=True, rename="pascal", kw_only=True):
    """The limits that create and update share."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = field(default=None, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: list[ThrottleDevice] | None = field(default=None, name="BlkioDeviceWriteIOps")
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[Device] | None = None
    device_cgroup_rules: list[str] | None = None
    device_requests: list[DeviceRequest] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = field(default=0, name="IOMaximumBandwidth")


class HostConfig(Resources, frozen=True, rename="pascal", kw_only=True):
    binds: list[str] | None = None
    container_id_file: str = field(default="", name="ContainerIDFile")
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding] | None] | None = None
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] | None = None
    console_size: tuple[int, int] = (0, 0)
    annotations: dict[str, str] | None = None
    cap_add: list[str] | str | None = None
    cap_drop: list[str] | str | None = None
    cgroupns_mode: str = ""
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    mounts: list[MountRequest] | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class IPAMConfig(_Sparse, frozen=True, rename="pascal", kw_only=True, omit_defaults=True):
    ipv4_address: str = field(default="", name="IPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")
    link_local_ips: list[str] | None = field(default=None, name="LinkLocalIPs")


class EndpointSettings(_Wire, frozen=True, rename="pascal", kw_only=True):
    """What a client may say about one attachment; what became of it is added by `api/convert.py`."""

    ipam_config: IPAMConfig | None = field(default=None, name="IPAMConfig")
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0


class NetworkingConfig(_Wire, frozen=True, rename="pascal", kw_only=True):
    endpoints_config: dict[str, EndpointSettings | None] | None = None


class CreateRequest(Config, frozen=True, rename="pascal", kw_only=True):
    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None


class ExecRequest(_Wire, frozen=True, rename="pascal", kw_only=True):
    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach_keys: str = ""
    env: list[str] | None = None
    working_dir: str = ""
    cmd: list[str] | None = None


class CheckpointCreate(_Wire, frozen=True, rename="pascal", kw_only=True):
    checkpoint_id: str = msgspec.field(default="", name="CheckpointID")
    checkpoint_dir: str = ""
    exit: bool = False


class ExecStart(_Wire, frozen=True, rename="pascal", kw_only=True):
    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


class UpdateRequest(Resources, frozen=True, rename="pascal", kw_only=True):
    restart_policy: RestartPolicy = RestartPolicy()
