"""A program that is run from memory and cannot be changed there."""

from __future__ import annotations

import fcntl
import os
import subprocess

import pytest

from naru.linux.sealed import SealedProgram

pytestmark = pytest.mark.root


def test_it_runs_while_it_lives() -> None:
    program = SealedProgram("/bin/cat")
    try:
        assert subprocess.run([program.name], input=b"meow", capture_output=True, check=True).stdout == b"meow"
    finally:
        program.close()
    with pytest.raises(FileNotFoundError):
        os.stat(program.name)


def test_nobody_can_write_to_it() -> None:
    program = SealedProgram("/bin/cat")
    try:
        fd = os.open(program.name, os.O_RDWR)  # root may open it; the seals hold all the same
        try:
            assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
            for change in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 1 << 30)):
                with pytest.raises(PermissionError):
                    change()
        finally:
            os.close(fd)
    finally:
        program.close()


def test_a_program_that_is_not_there() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        SealedProgram("/nosuch")
    assert len(os.listdir("/proc/self/fd")) == before
