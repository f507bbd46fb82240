"""What crun and runc say, in Docker's words: their clients decide exit codes by them."""

from __future__ import annotations

import pytest

from naru.containers.messages import exec_failure, start_failure
from naru.errors import Internal, InvalidArgument

START = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: crun create failed: unable to "
    "start container process: error during container init: "
)
EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.mark.parametrize(
    ("said", "program", "words", "code"),
    [
        ("executable file `nosuch` not found in $PATH: No such file or directory", "nosuch", 'exec: "nosuch": executable file not found in $PATH', 127),
        ("executable file `/no/such` not found in $PATH: No such file or directory", "/no/such", 'exec: "/no/such": stat /no/such: no such file or directory', 127),
        ("executable file `/no/such` not found: No such file or directory", "/no/such", 'exec: "/no/such": stat /no/such: no such file or directory', 127),
        ('exec: "nosuch": executable file not found in $PATH', "nosuch", 'exec: "nosuch": executable file not found in $PATH', 127),
        ("exec `/etc/passwd`: Permission denied", "/etc/passwd", 'exec: "/etc/passwd": permission denied', 126),
        ("the path `/etc/passwd` exists but it is not executable: Operation not permitted", "/etc/passwd", 'exec: "/etc/passwd": permission denied', 126),
        ("the path `/tmp` is not a regular file: Operation not permitted", "/tmp", 'exec: "/tmp": is a directory: permission denied', 126),
        ("exec /tmp: is a directory", "/tmp", 'exec: "/tmp": is a directory: permission denied', 126),
        ("open executable: No such file or directory", "/bin/x", 'exec: "/bin/x": stat /bin/x: no such file or directory', 127),
    ],
)  # fmt: skip
def test_start_failures_that_are_the_users(said: str, program: str, words: str, code: int) -> None:
    error, exit_code = start_failure(said, [program, "-x"], "crun")
    assert (type(error), str(error), exit_code) == (InvalidArgument, START + words, code)
    assert exec_failure(said, [program], "/") == (EXEC + words, code)


def test_other_failures_keep_the_runtimes_words() -> None:
    error, code = start_failure("mount `/x`: Invalid argument", ["sh"], "crun")
    assert (type(error), str(error), code) == (Internal, START + "mount `/x`: Invalid argument", 128)
    assert exec_failure("strange", ["sh"], "/") == (EXEC + "strange", 126)
    assert exec_failure("", [], "/") == (EXEC, 126)


@pytest.mark.parametrize(
    "said",
    [
        "open `/proc/sys/net/foo/bar`: No such file or directory",
        "opening file `memory.swap.max` for writing: No such file or directory",
        "mkdir `sh/proc/foo`: No such file or directory",
    ],
)
def test_a_file_of_the_kernel_is_no_missing_command(said: str) -> None:
    error, code = start_failure(said, ["sh"], "crun")
    assert (type(error), str(error), code) == (InvalidArgument, START + said, 127)


def test_what_is_denied_is_the_askers_fault() -> None:
    said = "write to `/proc/self/oom_score_adj`: Permission denied"
    assert start_failure(said, ["sh"], "crun")[1] == 126


def test_a_directory_on_a_file() -> None:
    error, code = start_failure("mount `/srv/x` to `etc/passwd`: Not a directory", ["sh"], "crun")
    assert (type(error), code) == (InvalidArgument, 127)
    assert str(error) == (
        START
        + 'error mounting "/srv/x" to rootfs at "/etc/passwd": mount src=/srv/x, dst=/etc/passwd, flags=MS_BIND|MS_REC: not a '
        "directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and "
        "is the expected type"
    )


def test_an_empty_command() -> None:
    error, code = start_failure("open executable: No such file or directory", [""], "crun")
    assert (str(error), code) == (START + 'exec: "": executable file not found in $PATH', 127)


def test_a_bad_working_directory() -> None:
    text, code = exec_failure("chdir `/no/such`: No such file or directory", ["sh"], "/no/such")
    assert (text, code) == (
        EXEC + 'chdir to cwd ("/no/such") set in config.json failed: no such file or directory',
        127,
    )
