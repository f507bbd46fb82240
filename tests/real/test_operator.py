"""The daemon as those who operate it see it: reload, metrics, TLS, systemd's sockets, and what its configuration gives to
containers."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

pytestmark = [pytest.mark.root]

MakeDaemon = Callable[..., Any]
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="naru.socket")
os.execv(sys.executable, [sys.executable, "-m", "naru", *sys.argv[2:]])
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Manager:
    """What systemd hears of the daemon from now on."""

    def __init__(self, daemon: Any) -> None:
        path = f"{daemon.path}/notify"
        os.unlink(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(path)
        self._sock.settimeout(10)

    def hears(self) -> str:
        return self._sock.recv(200).decode().partition("\n")[0]

    def close(self) -> None:
        self._sock.close()


def configure(daemon: Any, **keys: Any) -> None:
    Path(f"{daemon.path}/daemon.json").write_text(
        json.dumps({key.replace("_", "-"): value for key, value in keys.items()})
    )


@pytest.fixture
def configured(make_daemon: MakeDaemon) -> Callable[..., Any]:
    """A daemon that is ready, with a daemon.json of its own."""

    def make(*flags: str, **keys: Any) -> Any:
        daemon = make_daemon(*flags)
        daemon.flags += ["--config-file", f"{daemon.path}/daemon.json"]
        configure(daemon, **keys)
        daemon.start()
        return daemon

    return make


# -- reload -------------------------------------------------------------------------------------------------------------


def test_reload(configured: Callable[..., Any]) -> None:
    daemon = configured(labels=["a=1"], log_level="info")
    manager = Manager(daemon)

    def reload(**keys: Any) -> dict[str, Any]:
        configure(daemon, **keys)
        os.kill(daemon.pid, signal.SIGHUP)
        assert [manager.hears(), manager.hears()] == ["RELOADING=1", "READY=1"]
        return dict(daemon.client.info())

    try:
        info = reload(
            labels=["b=2"], debug=True, registry_mirrors=["https://m.example"], insecure_registries=["r.example:5000", "10.0.0.0/8"],
            max_concurrent_downloads=7, default_shm_size="32M", runtimes={"other": {"path": "/o"}}, features={"x": True}, mtu=1400,
        )  # fmt: skip
        assert info["Labels"] == ["b=2"] and info["Debug"] and info["Runtimes"]["other"] == {"path": "/o"}
        assert info["RegistryConfig"]["Mirrors"] == ["https://m.example/"]
        assert info["RegistryConfig"]["InsecureRegistryCIDRs"] == ["10.0.0.0/8"]
        assert info["RegistryConfig"]["IndexConfigs"]["r.example:5000"]["Secure"] is False
        event = next(daemon.client.events(since=0, until=time.time() + 1, filters={"type": "daemon"}, decode=True))
        assert event["Action"] == "reload" and event["Actor"]["ID"] == info["ID"]
        said = {"labels": '["b=2"]', "max-concurrent-downloads": "7", "default-shm-size": "33554432", "features": "map[x:true]", "debug": "true", "runtimes": "other:/o"}  # fmt: skip
        assert said.items() <= event["Actor"]["Attributes"].items()
        assert "mtu is the same until the daemon is restarted" in daemon.log()

        for bad, why in (
            ({"nonsense": 1}, "don't match any configuration option: nonsense"),
            ({"labels": ["c"]}, "labels: bad attribute format: c"),
            ({"data_root": "/x"}, "specified both as a flag and in the configuration file: data-root"),
            ({"default_runtime": "gone"}, "specified default runtime 'gone' does not exist"),
        ):
            assert reload(**bad)["Labels"] == ["b=2"]
            assert why in daemon.log()
        assert daemon.log().count("Error reloading configuration") == 4

        info = reload()
        assert info["Labels"] == [] and not info["Debug"] and info["RegistryConfig"]["Mirrors"] is None
        assert list(info["Runtimes"]) == ["runc", "crun"]
    finally:
        manager.close()


# -- metrics ------------------------------------------------------------------------------------------------------------


def test_metrics(make_daemon: MakeDaemon) -> None:
    port = free_port()
    daemon = make_daemon("--metrics-addr", f"127.0.0.1:{port}")
    daemon.start()
    daemon.import_busybox()

    def scrape() -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    before = scrape()
    check = {"test": ["CMD", "false"], "interval": 100_000_000}
    container = daemon.client.containers.run(
        "busybox", "sleep 1000", detach=True, healthcheck=check, stop_signal="KILL"
    )
    daemon.client.containers.run("busybox", "true", remove=True)
    assert container.exec_run("true").exit_code == 0
    for event in daemon.client.events(since=1, filters={"event": "exec_die"}, decode=True):
        if event["Actor"]["Attributes"]["exitCode"] == "1":
            break
    while not (now := scrape())["engine_daemon_health_checks_failed_total"]:
        pass
    assert now['engine_daemon_container_states_containers{state="running"}'] == 1
    assert now['engine_daemon_container_actions_seconds_count{action="start"}'] == 2
    assert now['engine_daemon_container_actions_seconds_bucket{action="create",le="+Inf"}'] == 2
    assert now['engine_daemon_container_actions_seconds_sum{action="start"}'] > 0
    assert now['engine_daemon_network_actions_seconds_count{action="allocate"}'] == 2
    assert now["naru_container_starts_total"] == 2 and now["naru_container_exits_total"] == 1
    assert now["naru_execs_total"] >= 2 and now["engine_daemon_health_checks_total"] >= 1
    assert now["engine_daemon_events_total"] > before["engine_daemon_events_total"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/")
    container.remove(force=True)
    assert scrape()['engine_daemon_container_states_containers{state="running"}'] == 0


# -- tcp ----------------------------------------------------------------------------------------------------------------


def make_certificates(folder: Path) -> None:
    """A CA, and a certificate of the daemon's and one of a client's, signed by it."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr")
        signing = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")


@pytest.mark.parametrize("program", ["docker", "naru"])
def test_tls_with_client_certificates(make_daemon: MakeDaemon, tmp_path: Path, program: str) -> None:
    make_certificates(tmp_path)
    port, files = free_port(), {"ca": "ca.pem", "cert": "server.pem", "key": "server-key.pem"}
    daemon = make_daemon(
        "--host", f"tcp://127.0.0.1:{port}", "--tlsverify", *(f"--tls{what}={tmp_path}/{name}" for what, name in (("cacert", files["ca"]), ("cert", files["cert"]), ("key", files["key"]))),
    )  # fmt: skip
    daemon.start()
    daemon.import_busybox()
    command = [sys.executable, "-m", "naru"] if program == "naru" else [shutil.which("docker") or "docker"]
    command += ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", f"{tmp_path}/ca.pem"]
    mine = ["--tlscert", f"{tmp_path}/client.pem", "--tlskey", f"{tmp_path}/client-key.pem"]
    environment = daemon.environment()
    del environment["DOCKER_HOST"]

    def client(*words: str, given: bytes = b"") -> bytes:
        done = subprocess.run([*command, *mine, *words], input=given, env=environment, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    much = os.urandom(2_000_000)
    assert client("run", "--rm", "-i", "busybox", "cat", given=much) == much
    client("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    assert client("exec", "-i", "web", "wc", "-c", given=much).split() == [b"2000000"]
    assert client("exec", "web", "echo", "out") == b"out\n"
    (tmp_path / "much").write_bytes(much)
    client("cp", f"{tmp_path}/much", "web:/tmp/much")
    with tarfile.open(fileobj=io.BytesIO(client("cp", "web:/tmp/much", "-"))) as tar:
        member = tar.extractfile("much")
        assert member is not None and member.read() == much
    client("load", given=client("save", "busybox"))
    client("rm", "-f", "web")
    refused = subprocess.run([*command, "ps"], env=environment, capture_output=True, text=True, timeout=30)
    assert refused.returncode != 0 and "certificate required" in refused.stderr.lower().replace("_", " ")


def test_tcp_without_tls_is_for_those_who_know_where_they_are(make_daemon: MakeDaemon) -> None:
    port = free_port()
    daemon = make_daemon("--host", f"tcp://127.0.0.1:{port}", "--tlsverify=false")
    daemon.start()
    assert "whoever reaches it is root on this machine" in daemon.log()

    def status(**headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/version", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    assert status() == status(Host="localhost:1") == status(Host="docker:2375") == 200
    assert status(Host="evil.example") == status(Origin="http://localhost") == 403


def test_the_oldest_version_is_for_the_operator_to_say(configured: Callable[..., Any]) -> None:
    daemon = configured(min_api_version="1.45", experimental=True)
    version = daemon.client.version()
    assert version["MinAPIVersion"] == "1.45" and version["Experimental"] is True
    old = daemon.client.api._url("/version").replace(f"v{daemon.client.api._version}", "v1.44")
    answer = daemon.client.api._get(old)
    assert answer.status_code == 400 and "Docker-Experimental" not in answer.headers  # nor with Docker
    assert answer.json()["message"].startswith("client version 1.44 is too old. Minimum supported API version is 1.45")


# -- systemd ------------------------------------------------------------------------------------------------------------


def test_a_socket_of_systemds(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.flags[daemon.flags.index(daemon.url)] = "fd://"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(daemon.socket)
        sock.listen(100)
        daemon.pass_fds = (sock.fileno(),)
        daemon.command = [sys.executable, "-c", ACTIVATE, str(sock.fileno())]
        daemon.start()
        daemon.import_busybox()
        assert daemon.client.containers.run("busybox", "echo $LISTEN_FDS-", remove=True).strip().endswith(b"-")
        manager = Manager(daemon)
        daemon.stop()
        assert manager.hears() == "STOPPING=1"
        manager.close()
        with socket.socket(socket.AF_UNIX) as waiting:  # for the daemon that is not there yet
            waiting.connect(daemon.socket)
            waiting.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            os.unlink(f"{daemon.path}/notify")
            daemon.start()
            assert waiting.recv(100).startswith(b"HTTP/1.1 200")


def test_requests_under_way_are_answered_before_the_end(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    stubborn = daemon.client.containers.run(
        "busybox", "sh -c 'trap : TERM; echo ready; while :; do sleep 0.1; done'", detach=True
    )
    next(iter(stubborn.logs(stream=True)))
    listening = daemon.connect().events()  # a stream has no end to wait for
    ended: list[object] = []

    def stop() -> None:
        try:
            ended.append(stubborn.stop(timeout=1))
        except APIError as error:
            ended.append(error)

    worker = threading.Thread(target=stop)
    worker.start()
    for event in daemon.client.events(since=1, filters={"event": "kill"}, decode=True):
        assert event["Actor"]["Attributes"]["signal"] == "15"
        break
    began = time.monotonic()
    daemon.stop()
    worker.join(10)
    assert ended == [None] and time.monotonic() - began < 5
    listening.close()
    daemon.start()
    assert daemon.client.containers.get(stubborn.id).status == "exited"


# -- what containers get ------------------------------------------------------------------------------------------------


def test_defaults_of_containers(configured: Callable[..., Any], tmp_path: Path) -> None:
    wrapper = tmp_path / "crun"  # named so that it is taken for one
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\nexec {shutil.which("crun")} "$@"\n')
    wrapper.chmod(0o755)
    daemon = configured(
        default_ulimits={"nofile": {"Name": "nofile", "Soft": 64, "Hard": 128}}, no_new_privileges=True, dns=["9.9.9.9"], dns_search=["ex.org"], default_shm_size="32M",
        seccomp_profile="unconfined", host_gateway_ips=["9.9.9.8"], mtu=1400, default_address_pools=[{"base": "10.213.0.0/16", "size": 26}], default_ipc_mode="shareable",
        runtimes={"other": {"path": str(wrapper)}, "gone": {"path": "/nosuch/runtime"}}, default_stop_timeout=0,
    )  # fmt: skip
    daemon.import_busybox()
    client = daemon.client
    script = "ulimit -n; cat /etc/resolv.conf; grep -E 'NoNewPrivs|Seccomp:' /proc/1/status; df /dev/shm; grep gw /etc/hosts; cat /sys/class/net/eth0/mtu"
    out = client.containers.run(
        "busybox", ["sh", "-c", script], extra_hosts={"gw": "host-gateway"}, remove=True
    ).decode()
    for words in (
        "64\n",
        "nameserver 9.9.9.9\n",
        "search ex.org\n",
        "NoNewPrivs:\t1\n",
        "Seccomp:\t0\n",
        " 32768 ",
        "9.9.9.8\tgw\n",
        "\n1400\n",
    ):
        assert words in out
    running = client.containers.run("busybox", "sleep 1000", runtime="other", detach=True)
    shown = client.api.inspect_container(running.id)["HostConfig"]
    assert (shown["Runtime"], shown["ShmSize"], shown["IpcMode"]) == ("other", 32 << 20, "shareable")
    assert (
        not shown["Dns"]
        and not shown["SecurityOpt"]
        and shown["Ulimits"] == [{"Name": "nofile", "Hard": 128, "Soft": 64}]
    )
    assert b"NoNewPrivs:\t1" in running.exec_run("grep NoNewPrivs /proc/self/status").output
    daemon.stop()
    daemon.start()
    assert running.exec_run("echo again").output == b"again\n"
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < 5
    called = Path(f"{tmp_path}/called").read_text()
    assert "create" in called and called.count("exec ") == 2
    with pytest.raises(APIError, match="/nosuch/runtime is not installed"):
        client.containers.run("busybox", "true", runtime="gone", remove=True)
    with pytest.raises(APIError, match="unknown or invalid runtime name: nope"):
        client.containers.run("busybox", "true", runtime="nope")
    network = client.networks.create("pooled")
    assert network.attrs["IPAM"]["Config"][0]["Subnet"] == "10.213.0.0/26"
    info = client.info()
    assert info["DefaultAddressPools"] == [{"Base": "10.213.0.0/16", "Size": 26}]
    assert (
        info["SecurityOptions"][0] == "name=seccomp,profile=unconfined"
        and "name=no-new-privileges" in info["SecurityOptions"]
    )


# -- the command --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--label", "a=b"], 0, "configuration OK"), (["--tls", "--tlscert", "/nosuch"], 1, 'could not load X509 key pair (cert: "/nosuch"'),
        (["--seccomp-profile", "/nosuch"], 1, "opening seccomp profile (/nosuch) failed"), (["--log-level", "x"], 1, "invalid logging level: x"),
    ],
)  # fmt: skip
def test_validate(flags: list[str], code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "naru", "daemon", "--validate", *flags], capture_output=True, text=True
    )
    assert done.returncode == code and words in done.stdout + done.stderr


def test_the_log_as_json(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log-format", "json", "-D")
    daemon.start()
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    assert any(line["level"] == "info" and "is ready on" in line["msg"] for line in lines)
