"""The default AppArmor profile: its text, and when it is loaded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from naru.containers import apparmor
from naru.errors import Internal


def test_the_profile_says_what_dockers_does() -> None:
    lines = {line.strip() for line in apparmor.text().splitlines()}
    assert apparmor.text().startswith("profile docker-default flags=(attach_disconnected,mediate_deleted) {\n")
    assert {
        "network,", "capability,", "file,", "umount,", "deny mount,", "deny network alg,", "deny /proc/* w,",
        "deny /proc/sys/kernel/[^s]** w,", "deny /proc/kcore rwklx,", "deny /sys/firmware/** rwklx,", "deny /sys/fs/[^c]** wklx,",
        "signal (receive) peer=unconfined,", "signal (receive) peer=crun,", "signal (send, receive) peer=docker-default,",
        "ptrace (trace, read, tracedby, readby) peer=docker-default,",
    } <= lines  # fmt: skip


def test_a_loaded_profile_is_not_loaded_again(tmp_path: Path) -> None:
    loaded = tmp_path / "profiles"
    loaded.write_text("other (enforce)\ndocker-default (enforce)\n")
    apparmor.ensure(apparmor.DEFAULT_PROFILE, str(loaded))


@pytest.mark.parametrize("name", ["", "mine"])
def test_nothing_is_tried_for_no_profile_and_for_the_users_own(name: str) -> None:
    apparmor.ensure(name, "/nonexistent/profiles")


def test_a_profile_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    loaded = tmp_path / "profiles"
    loaded.write_text("docker-default-other (enforce)\n")
    if Path("/sys/kernel/security/apparmor").exists():
        pytest.skip("it can be loaded here")
    with pytest.raises(
        Internal, match="AppArmor enabled on system but the docker-default profile could not be loaded: "
    ):
        apparmor.ensure(apparmor.DEFAULT_PROFILE, str(loaded))


@pytest.mark.skipif(shutil.which("apparmor_parser") is None, reason="needs apparmor_parser")
def test_the_parser_takes_it() -> None:
    words = ["apparmor_parser", "--skip-kernel-load", "--skip-cache"]
    subprocess.run(words, input=apparmor.text(), text=True, check=True)
