"""`naru exec`."""

from __future__ import annotations

from naru.cli.foreground import Foreground, check_terminal, detach_keys, detached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "exec": """\
Usage:  naru exec [OPTIONS] CONTAINER COMMAND [ARG...]

Options:
  -d, --detach               Run the command in the background
      --detach-keys string   Keys that detach from the command (default "ctrl-p,ctrl-q")
  -e, --env list             Set environment variables
      --env-file list        Read environment variables from a file
  -i, --interactive          Keep STDIN open even if not attached
      --privileged           Give extended privileges to the command
  -t, --tty                  Allocate a pseudo-TTY
  -u, --user string          User and group: <name|uid>[:<group|gid>]
  -w, --workdir string       Working directory inside the container
"""
}


def exec(session: Session, args: Args) -> int:
    from naru.cli.runflags import environment

    container, *command = args.words
    tty, stdin, detach = args.on("tty"), args.on("interactive"), args.on("detach")
    if not detach:
        check_terminal(tty=tty, stdin=stdin)
    keys = detach_keys(session, args.text("detach-keys")) if tty and stdin else b""
    config = {
        "Cmd": command,
        "Tty": tty,
        "AttachStdin": stdin and not detach,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "Env": environment(args),
        "User": args.text("user"),
        "WorkingDir": args.text("workdir"),
        "Privileged": args.on("privileged"),
    }
    if args.has("detach-keys"):
        config["DetachKeys"] = args.text("detach-keys")
    execs = session.client.execs
    exec_id = execs.create(container, config)
    if detach:
        execs.start_detached(exec_id, tty=tty)
        return 0
    size = None
    if tty:
        from naru.cli.terminal import size as terminal_size

        rows, columns = terminal_size(1)
        size = (rows, columns) if rows and columns else None
    stream = execs.start(exec_id, tty=tty, console_size=size)
    beside = session.second_client()
    foreground = Foreground(
        session,
        stream,
        tty=tty,
        stdin=stdin,
        keys=keys,
        resize=lambda rows, columns: beside.execs.resize(exec_id, rows, columns),
    )
    if not foreground.run():
        raise detached()
    return int(execs.inspect(exec_id).get("ExitCode") or 0)
