from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from played import Played, json_answer

from naru.client.endpoint import Endpoint, Tls
from naru.client.engine import Client
from naru.errors import InvalidArgument, Unavailable


def serve_once(
    listener: socket.socket, wrap: Callable[[socket.socket], socket.socket], answer: bytes
) -> threading.Thread:
    def run() -> None:
        raw, _ = listener.accept()
        try:
            with wrap(raw) as connection:
                connection.recv(65536)
                connection.sendall(answer)
        except (ssl.SSLError, ConnectionError):
            raw.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority."""
    folder = tmp_path_factory.mktemp("keys")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=naru test", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_tcp(listener: socket.socket) -> None:
    thread = serve_once(listener, lambda raw: raw, json_answer("[]"))
    with Client(Endpoint(f"tcp://127.0.0.1:{listener.getsockname()[1]}")) as client:
        assert client.containers.list() == []
    thread.join()


@pytest.mark.parametrize(("ca", "verify", "works"), [(True, True, True), (False, True, False), (False, False, True)])
def test_tls(ca: bool, verify: bool, works: bool, keys: Path, listener: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "ca.pem", keys / "key.pem")
    thread = serve_once(listener, lambda raw: context.wrap_socket(raw, server_side=True), json_answer("[]"))
    tls = Tls(str(keys / "ca.pem") if ca else "", verify=verify)
    with Client(Endpoint(f"tcp://127.0.0.1:{listener.getsockname()[1]}", tls)) as client:
        if works:
            assert client.containers.list() == []
        else:
            with pytest.raises(Unavailable, match="certificate"):
                client.containers.list()
    thread.join()


def test_tls_half_close(keys: Path, listener: socket.socket) -> None:
    """The end of our input arrives at the other side, and its output still arrives here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "ca.pem", keys / "key.pem")
    got = []

    def run() -> None:
        raw, _ = listener.accept()
        with context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
            while piece := connection.recv(1024):
                got.append(piece)
            connection.sendall(b"bye")

    thread = threading.Thread(target=run)
    thread.start()
    tls = Tls(str(keys / "ca.pem"))
    client = Client(Endpoint(f"tcp://127.0.0.1:{listener.getsockname()[1]}", tls))
    stream = client.upgrade("/exec/x/start")
    assert stream.send(b"hello") == 5
    stream.close_write()
    answer = b""
    while (piece := stream.receive()) != b"":
        answer += piece or b""
    stream.close()
    thread.join()
    assert (b"".join(got), answer) == (b"hello", b"bye")


def test_keys_that_cannot_be_read(listener: socket.socket) -> None:
    endpoint = Endpoint(f"tcp://127.0.0.1:{listener.getsockname()[1]}", Tls("/nowhere/ca.pem"))
    with pytest.raises(InvalidArgument, match="could not read TLS certificate files"):
        Client(endpoint).containers.list()


def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match=f"Cannot connect to the Docker daemon at tcp://127.0.0.1:{port}"):
        Client(Endpoint(f"tcp://127.0.0.1:{port}")).containers.list()


def test_ssh_runs_dial_stdio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ssh that runs the remote command here, with our own dial-stdio as `docker`."""
    server = Played(tmp_path / "s.sock", [[json_answer("[]")]])
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/argv\nexec {sys.executable} -m naru -H {server.host} system dial-stdio\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with Client(Endpoint("ssh://me@far:2222")) as client:
        assert client.containers.list() == []
    server.close()
    assert (tmp_path / "argv").read_text() == "-o ConnectTimeout=30 -T -p 2222 -- me@far docker system dial-stdio\n"


def test_ssh_options_cannot_be_smuggled_in() -> None:
    with pytest.raises(InvalidArgument):
        Client(Endpoint("ssh://-oProxyCommand=x")).containers.list()
