"""Image names as a user writes them, as far as the client must understand them. The grammar itself is the daemon's to check.

Pure. (`oci/reference.py` is the full grammar; it needs `re`, and this needs to be loaded before every `run`.)
"""

from __future__ import annotations


def split(text: str) -> tuple[str, str, str]:
    """(name, tag, digest), "" for what is missing: `host:5000/a/b:tag@sha256:…`."""
    name, _, digest = text.partition("@")
    before, colon, after = name.rpartition(":")
    if colon and "/" not in after:
        return before, after, digest
    return name, "", digest


def with_default_tag(text: str) -> str:
    """text with `:latest`, if it has neither tag nor digest."""
    _, tag, digest = split(text)
    return text if tag or digest else f"{text}:latest"


def full_name(name: str) -> str:
    """The repository with its registry: `alpine` → `docker.io/library/alpine`."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name.replace("index.docker.io/", "docker.io/", 1) if first == "index.docker.io" else name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
