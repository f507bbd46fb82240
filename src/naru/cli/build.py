"""`naru build`: the context is packed here and sent to POST /build."""

from __future__ import annotations

import os
import sys

from naru.client import jsontext
from naru.errors import Internal, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "build": """\
Usage:  naru build [OPTIONS] PATH | URL | -

Options:
      --add-host list          Add a line to the hosts file of RUN (host:ip)
      --build-arg list         Set variables of ARG
      --cache-from strings     Images to take layers from
      --cgroup-parent string   Parent cgroup of RUN
      --cpu-period int         CFS period in microseconds
      --cpu-quota int          CFS quota in microseconds
  -c, --cpu-shares int         Relative CPU weight
      --cpuset-cpus string     CPUs to run on (0-3, 0,1)
      --cpuset-mems string     Memory nodes to use (0-3, 0,1)
  -f, --file string            The Dockerfile, "-" for stdin (default "PATH/Dockerfile")
      --force-rm               Always remove intermediate containers
      --iidfile string         Write the image's ID to this file
      --label list             Set metadata
  -m, --memory bytes           Memory limit
      --memory-swap bytes      Limit of memory plus swap, -1 for unlimited swap
      --network string         Network of RUN (default "default")
      --no-cache               Do every step again
      --platform string        Platform of the image
      --progress string        How to show it: auto, plain or tty (default "auto")
      --pull                   Look for newer base images
  -q, --quiet                  Print the image's ID only
      --rm                     Remove intermediate containers afterwards (default true)
      --shm-size bytes         Size of /dev/shm of RUN
  -t, --tag list               Name of the image ("name:tag")
      --target string          Build up to this stage
      --ulimit ulimit          Limits (nofile=1024:2048)
Hidden:
      --disable-content-trust  ignored (default true)
"""
}

_TEXT = {
    "cgroup-parent": "cgroupparent", "cpuset-cpus": "cpusetcpus", "cpuset-mems": "cpusetmems",
    "network": "networkmode", "platform": "platform", "target": "target",
}  # fmt: skip
_NUMBER = {"cpu-period": "cpuperiod", "cpu-quota": "cpuquota", "cpu-shares": "cpushares"}
_BYTES = {"memory": "memory", "shm-size": "shmsize"}
_PROGRESS = ("auto", "plain", "tty")


def _build_arguments(args: Args) -> dict[str, str | None]:
    """--build-arg; a name without a value takes ours, or is passed on without one."""
    found: dict[str, str | None] = {}
    for text in args.items("build-arg"):
        name, equals, value = text.partition("=")
        found[name] = value if equals else os.environ.get(name)
    return found


def options(args: Args) -> Json:
    """The query of POST /build. Raises UsageError."""
    from naru.cli.runflags import labels, ulimit
    from naru.cli.runnetworks import extra_host
    from naru.cli.units import read_size

    query: Json = {
        "t": args.items("tag"),
        "nocache": args.on("no-cache"),
        "pull": args.on("pull"),
        "q": args.on("quiet"),
        "rm": 1 if args.on("rm") else 0,
        "forcerm": args.on("force-rm"),
        "buildargs": _build_arguments(args),
        "labels": labels(args),
        "extrahosts": args.read("add-host", extra_host),
        "version": "1",
    }
    query |= {key: args.text(flag) for flag, key in _TEXT.items()}
    query |= {key: args.number(flag) for flag, key in _NUMBER.items() if args.has(flag)}
    for flag, key in _BYTES.items():
        for size in args.read(flag, read_size):
            query[key] = size
    for size in args.read("memory-swap", lambda text: -1 if text == "-1" else read_size(text)):
        query["memswap"] = size
    if args.has("ulimit"):
        query["ulimits"] = jsontext.encode(args.read("ulimit", ulimit))
    if args.has("cache-from"):
        query["cachefrom"] = jsontext.encode([one for text in args.items("cache-from") for one in text.split(",")])
    if not query["platform"]:
        query["platform"] = os.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    return query


def _registry_config(session: Session) -> str:
    """X-Registry-Config: every credential we have, for base images are known to the daemon only."""
    if not os.path.exists(f"{session.config_dir}/config.json"):
        return ""
    from naru.client import auth

    return auth.header(auth.find_all(session.config_dir))


def build(session: Session, args: Args) -> int:
    from naru.cli import buildcontext
    from naru.cli.progress import Progress

    if args.text("progress", "auto") not in _PROGRESS:
        raise InvalidArgument(f"invalid progress mode {args.text('progress')}")
    query = options(args)
    context = buildcontext.prepare(args.words[0], args.text("file"))
    query["dockerfile"], query["remote"] = context.dockerfile, context.remote
    quiet, id_file = args.on("quiet"), args.text("iidfile")
    if id_file and os.path.exists(id_file):
        os.unlink(id_file)
    objects = session.client.images.build(context.body, query, registry_config=_registry_config(session))
    progress = Progress(sys.stdout)
    image, said = "", []
    for item in objects:
        if quiet and item.get("stream"):
            said.append(item["stream"])
            continue
        try:
            progress.add(item)
        except Internal:
            sys.stderr.write("".join(said))
            raise
    for value in progress.aux:
        image = value.get("ID") or image
    if quiet:
        session.out(said[-1] if said else f"{image}\n")
        image = image or (said[-1].strip() if said else "")
    if id_file:
        with open(id_file, "w") as file:
            file.write(image)
    return 0
