"""An S3 server of the tests' own: moto, in a process of its own; or the one at NARU_TEST_S3, with the environment's credentials."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from naru.registry.blobstore import BlobStore, new_key
from naru.registry.bucket import Bucket

PART = 5 << 20  # what S3 asks of a part at least
REGION = "us-east-1"

_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), sep=":", flush=True)
sys.stdin.read()
server.stop()
"""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATESTOFNARU",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def server() -> Iterator[str]:
    """Its URL; meanwhile the environment has credentials for it."""
    if there := os.environ.get("NARU_TEST_S3"):
        yield there
        return
    command = [sys.executable, "-c", _MOTO]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                yield f"http://{process.stdout.readline().decode().strip()}"
            finally:
                process.stdin.close()


def make_client(endpoint: str) -> Any:
    return boto3.session.Session().client("s3", region_name=REGION, endpoint_url=endpoint)


def make_bucket(endpoint: str) -> Bucket:
    """A new one, and empty."""
    name = f"naru-{new_key()}"
    make_client(endpoint).create_bucket(Bucket=name)
    return Bucket(name, endpoint=endpoint, region=REGION, path_style=True)


def content(store: BlobStore, key: str) -> bytes:
    with store.open(key) as file:
        return file.read()


@contextmanager
def answering(handler: type[http.server.BaseHTTPRequestHandler], **known: object) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), known))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
