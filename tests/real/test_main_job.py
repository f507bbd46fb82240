"""The main job from end to end, once with Docker's own command line and once with ours: a Debian base, nginx from apt on it, a
web site on that; shared layers, a private registry, a running site, its logs, its terminal, and a daemon killed under it.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]

PROJECT = Path(__file__).parents[2]
NGINX = """FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light && rm -rf /var/lib/apt/lists/*
RUN ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log
CMD ["nginx", "-g", "daemon off;"]
"""
WEB = """FROM job/nginx
LABEL org.example.title="A page"
ENV SITE=/srv/www
WORKDIR $SITE
COPY index.html .
ADD pages.tar.gz pages/
COPY site.conf /etc/nginx/sites-available/default
EXPOSE 80
CMD ["nginx", "-g", "daemon off;"]
"""
PAGE = "<h1>Served by Naru</h1>\n"


def os_release() -> dict[str, str]:
    with open("/etc/os-release") as file:
        return dict(line.rstrip("\n").replace('"', "").split("=", 1) for line in file if "=" in line)


@pytest.fixture(scope="session")
def debian() -> Path:
    """A minimal Debian (or Ubuntu) made once by mmdebstrap, where ./demo keeps its own too."""
    release = os_release()
    suite = release.get("VERSION_CODENAME", "bookworm")
    tar = PROJECT / ".venv" / "cache" / f"{release['ID']}-{suite}.tar"
    if not tar.exists():
        tar.parent.mkdir(parents=True, exist_ok=True)
        part = tar.with_suffix(f".{os.getpid()}.part")
        components = "main,universe" if release["ID"] == "ubuntu" else "main"
        command = [
            "mmdebstrap",
            "--quiet",
            "--format=tar",
            "--variant=minbase",
            "--include=apt",  # Ubuntu counts it as a luxury
            f"--components={components}",
            suite,
            str(part),
        ]
        subprocess.run(command, check=True, timeout=300, capture_output=True)
        part.rename(tar)
    return tar


class Shell:
    """A client's command line against one daemon."""

    def __init__(self, client: str, daemon: Any) -> None:
        path = f"{os.environ['PATH']}:{PROJECT / '.venv' / 'bin'}"
        self.name = client
        self.command = (
            [sys.executable, "-m", "naru"] if client == "naru" else [shutil.which("docker", path=path) or "docker"]
        )
        self.env = daemon.environment()

    def __call__(self, *words: str, data: bytes | None = None, code: int = 0, cwd: Path | None = None) -> str:
        """Standard output. The exit code has to be this one."""
        done = subprocess.run(
            [*self.command, *words], input=data, capture_output=True, env=self.env, timeout=200, cwd=cwd
        )
        said = f"{' '.join(words)}\n{done.stdout.decode(errors='replace')[-3000:]}\n{done.stderr.decode(errors='replace')[-3000:]}"
        assert done.returncode == code, said
        return done.stdout.decode(errors="replace")

    def json(self, *words: str) -> Any:
        return json.loads(self(*words))

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env)

    def on_terminal(self, *words: str, typed: bytes = b"", until: bytes = b"") -> tuple[int, bytes]:
        """(exit code, what the terminal showed); `typed` is entered once `until` has been shown."""
        master, slave = pty.openpty()
        try:
            process = subprocess.Popen(
                [*self.command, *words], stdin=slave, stdout=slave, stderr=slave, env=self.env, start_new_session=True
            )
            os.close(slave)
            shown, entered = b"", False
            while select.select([master], [], [], 20)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # EIO: everybody has left the terminal
                    break
                shown += piece
                if typed and not entered and until in shown:
                    os.write(master, typed)
                    entered = True
            return process.wait(10), shown
        finally:
            os.close(master)


def fetch(url: str) -> str:
    """The page; a server that is still starting is asked again."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def write_context(folder: Path, base: str) -> None:
    (folder / "nginx").mkdir()
    (folder / "nginx" / "Dockerfile").write_text(NGINX.format(base=base))
    web = folder / "web"
    web.mkdir()
    (web / "Dockerfile").write_text(WEB)
    (web / "index.html").write_text(PAGE)
    (web / "site.conf").write_text("server { listen 80; root /srv/www; }\n")
    with tarfile.open(web / "pages.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("second.html")
        info.size = 7
        tar.addfile(info, io.BytesIO(b"second\n"))


def layers(shell: Shell, image: str) -> list[str]:
    found: list[str] = shell.json("inspect", "-f", "{{json .RootFS.Layers}}", image)
    return found


@pytest.mark.parametrize("patience", [400], indirect=True)
@pytest.mark.parametrize("client", ["docker", "naru"])
def test_main_job(
    client: str, make_daemon: Callable[..., Any], registry: Any, debian: Path, tmp_path: Path, patience: None
) -> None:
    daemon = make_daemon("--insecure-registry", registry.address)
    daemon.start()
    shell = Shell(client, daemon)
    events = shell.start("events", "--format", "{{.Type}} {{.Action}}")
    try:
        build(shell, debian, tmp_path)
        share(shell, registry.address)
        port = serve(shell)
        talk(shell)
        terminals(shell)
        stop_and_start(shell, port)
        volumes_and_networks(shell)
    finally:
        events.terminate()
        told, _ = events.communicate(timeout=10)
    check_events(told.decode())
    survive(shell, daemon, port)


def build(shell: Shell, debian: Path, folder: Path) -> None:
    shell("import", "--change", 'CMD ["bash"]', str(debian), "job/debian:1")
    write_context(folder, "job/debian:1")
    shell("build", "-t", "job/nginx", str(folder / "nginx"))
    shell("build", "-t", "job/web:1", str(folder / "web"))
    began = time.monotonic()
    again = shell("build", "-t", "job/web:1", str(folder / "web"))
    assert time.monotonic() - began < 10
    assert "Using cache" in again or "CACHED" in again
    base, nginx, web = (layers(shell, image) for image in ("job/debian:1", "job/nginx", "job/web:1"))
    assert len(base) == 1 and nginx[:1] == base and web[: len(nginx)] == nginx and len(web) > len(nginx)
    config = shell.json("inspect", "-f", "{{json .Config}}", "job/web:1")
    assert (
        config["WorkingDir"] == "/srv/www"
        and "SITE=/srv/www" in config["Env"]
        and config["ExposedPorts"] == {"80/tcp": {}}
    )
    assert config["Labels"] == {"org.example.title": "A page"} and config["Cmd"] == ["nginx", "-g", "daemon off;"]
    history = shell("history", "--no-trunc", "job/web:1")
    assert "apt-get install" in history and "COPY" in history


def share(shell: Shell, address: str) -> None:
    """Layers are stored once, and come back from a registry as they went there."""
    name = f"{address}/job/web:1"
    assert "SHARED SIZE" in shell("system", "df", "-v")
    shell("tag", "job/web:1", name)
    shell("push", name)
    before = layers(shell, name)
    shell("rmi", name, "job/web:1")
    shell("inspect", "--type", "image", name, code=1)
    shell("pull", name)
    assert layers(shell, name) == before
    assert name.rpartition(":")[0] in shell("images")
    shell("tag", name, "job/web:1")


def serve(shell: Shell) -> int:
    shell("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "job/web:1")
    port = int(shell("port", "web", "80").strip().rpartition(":")[2])
    assert re.search(r"web:1 .*Up .*127\.0\.0\.1:\d+->80/tcp.*web", shell("ps"))
    assert fetch(f"http://127.0.0.1:{port}/") == PAGE
    address = shell("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "web").strip()
    assert fetch(f"http://{address}/pages/second.html") == "second\n"
    return port


def talk(shell: Shell) -> None:
    """Logs as they are written; commands inside; files in and out."""
    following = shell.start("logs", "-f", "web")
    try:
        assert following.stdout is not None
        lines = [following.stdout.readline(), following.stdout.readline()]
        assert b"GET / HTTP/1" in lines[0] and b"GET /pages/second.html" in lines[1]
        fetch(
            "http://"
            + shell("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "web").strip()
            + "/?later"
        )
        assert b"GET /?later" in following.stdout.readline()
    finally:
        following.terminate()
        following.communicate(timeout=10)
    assert shell("exec", "web", "sh", "-c", 'echo "$SITE"; pwd') == "/srv/www\n/srv/www\n"
    assert shell("exec", "-i", "web", "cat", data=b"in and out") == "in and out"
    shell("exec", "web", "sh", "-c", "exit 42", code=42)
    shell("exec", "web", "nosuch", code=127)
    assert shell("run", "--rm", "job/web:1", "cat", "index.html") == PAGE
    shell("run", "--rm", "job/web:1", "sh", "-c", "exit 3", code=3)
    shell("run", "--rm", "job/web:1", "nosuch", code=127)


def terminals(shell: Shell) -> None:
    code, shown = shell.on_terminal("exec", "-t", "web", "tty")
    assert (code, shown.strip()) == (0, b"/dev/pts/0")
    code, shown = shell.on_terminal(
        "run", "-it", "--rm", "job/web:1", "bash", typed=b"stty size; echo $((6*7)); exit 5\n", until=b"# "
    )
    assert code == 5 and b"\r\n42\r\n" in shown


def stop_and_start(shell: Shell, port: int) -> None:
    shell("stop", "web")
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
    assert "Exited (0)" in shell("ps", "-a")
    shell("start", "web")
    shell("rm", "web", code=1)
    shell("rm", "-f", "web")
    shell("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", "job/web:1")
    assert fetch(f"http://127.0.0.1:{port}/") == PAGE


def volumes_and_networks(shell: Shell) -> None:
    shell("volume", "create", "notes")
    shell("network", "create", "front")
    assert "notes" in shell("volume", "ls") and "front" in shell("network", "ls")
    shell("run", "--rm", "-v", "notes:/n", "--network", "front", "job/web:1", "sh", "-c", "echo remember > /n/note")
    assert shell("run", "--rm", "-v", "notes:/n", "job/web:1", "cat", "/n/note") == "remember\n"
    shell("network", "rm", "front")
    shell("volume", "rm", "notes")
    assert "notes" not in shell("volume", "ls") and "front" not in shell("network", "ls")


def check_events(told: str) -> None:
    wanted = """image tag|image push|image pull|image untag|container create|container start|container die|container stop
    container destroy|container exec_create: tty|container exec_die|container attach|volume create|volume destroy|network create
    network connect|network disconnect|network destroy""".replace("\n", "|")
    for word in wanted.split("|"):
        assert word.strip() in told, f"no {word.strip()} among the events:\n{told}"


def survive(shell: Shell, daemon: Any, port: int) -> None:
    """The daemon is killed; the site stays up, and the next daemon takes it over."""
    pid = shell("inspect", "-f", "{{.State.Pid}}", "web")
    daemon.kill()
    assert fetch(f"http://127.0.0.1:{port}/?without") == PAGE
    assert daemon.start() < 5
    assert "Up " in shell("ps") and shell("inspect", "-f", "{{.State.Pid}}", "web") == pid
    assert "GET /?without" in shell("logs", "web")
    assert shell("exec", "web", "echo", "still here") == "still here\n"
    shell("stop", "web")
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
        raise AssertionError("the port is still published")
    shell("rm", "web")
    assert shell("ps", "-aq") == ""
