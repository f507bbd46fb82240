"""History entries as the builders of the last ten years have written them, read back into instructions."""

from __future__ import annotations

import time

import pytest

from naru.hub.catalog.createdby import DEFAULT_SHELL, commented, recover

BASH = "/bin/bash -o pipefail -c"


def instruction(created_by: str, shell: str = DEFAULT_SHELL) -> str:
    return recover(created_by, shell).text


# created_by → instruction
CLASSIC = {
    '/bin/sh -c #(nop)  CMD ["nginx" "-g" "daemon off;"]': 'CMD ["nginx", "-g", "daemon off;"]',
    '/bin/sh -c #(nop) CMD ["/bin/sh" "-c" "exec \\"$@\\""]': 'CMD exec "$@"',
    '/bin/sh -c #(nop)  CMD ["python3"]': 'CMD ["python3"]',
    "/bin/sh -c #(nop) CMD [nginx -g daemon off;]": "CMD [nginx -g daemon off;]",
    "/bin/sh -c #(nop)  ENTRYPOINT []": "ENTRYPOINT []",
    '/bin/sh -c #(nop)  ENTRYPOINT ["/t\\u00e9st" "a\\tb" "\\x07" "\\U0001f600"]': 'ENTRYPOINT ["/tést", "a\\tb", "\\u0007", "😀"]',
    "/bin/sh -c #(nop)  ENV PATH=/usr/local/bin:/bin": "ENV PATH=/usr/local/bin:/bin",
    "/bin/sh -c #(nop)  ENV A=1 JAVA_OPTS=-Xmx1g -Da=b C=": 'ENV A=1 JAVA_OPTS="-Xmx1g -Da=b" C=',
    "/bin/sh -c #(nop)  ENV PS1=\\u$ Q=say \"x\"": 'ENV PS1="\\\\u\\$" Q="say \\"x\\""',
    "/bin/sh -c #(nop) ENV HOME /root": "ENV HOME /root",
    "/bin/sh -c #(nop)  LABEL maintainer=NGINX Docker Maintainers <docker-maint@nginx.com>": 'LABEL maintainer="NGINX Docker Maintainers <docker-maint@nginx.com>"',
    "/bin/sh -c #(nop)  LABEL org.x/y=1 url=https://a.example/?b=c": "LABEL org.x/y=1 url=https://a.example/?b=c",
    "/bin/sh -c #(nop)  EXPOSE 80/tcp 443/tcp": "EXPOSE 80/tcp 443/tcp",
    "/bin/sh -c #(nop)  EXPOSE map[443/tcp:{} 80/tcp:{}]": "EXPOSE 443/tcp 80/tcp",
    "/bin/sh -c #(nop)  VOLUME [/data /logs]": 'VOLUME ["/data", "/logs"]',
    "/bin/sh -c #(nop)  SHELL [/bin/bash -o pipefail -c]": 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
    "/bin/sh -c #(nop) MAINTAINER Ann <ann@example.com>": "MAINTAINER Ann <ann@example.com>",
    "/bin/sh -c #(nop)  ONBUILD RUN make && make install": "ONBUILD RUN make && make install",
    "/bin/sh -c #(nop)  ARG VERSION=1.0": "ARG VERSION=1.0",
    "/bin/sh -c #(nop)  STOPSIGNAL SIGQUIT": "STOPSIGNAL SIGQUIT",
    "/bin/sh -c #(nop)  USER nginx:nginx": "USER nginx:nginx",
    "/bin/sh -c #(nop) WORKDIR /srv/my app": "WORKDIR /srv/my app",
    "/bin/sh -c #(nop) ADD file:4b03b5f551e3fbdf in / ": "ADD file:4b03b5f551e3fbdf /",
    "/bin/sh -c #(nop) COPY --chown=a:b multi:0f1e in /srv/my app/ ": "COPY --chown=a:b multi:0f1e /srv/my app/",
    "/bin/sh -c #(nop) ADD https://a.example/x.tar in /x/": "ADD https://a.example/x.tar /x/",
    '/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "curl -f http://localhost/ || exit 1"] "5m0s" "3s" "0s" \'\\x00\'}': "HEALTHCHECK --interval=5m0s --timeout=3s CMD curl -f http://localhost/ || exit 1",
    '/bin/sh -c #(nop)  HEALTHCHECK &{["CMD" "/check" "-v"] "0s" "0s" "1s" "2s" \'\\n\'}': 'HEALTHCHECK --start-period=1s --start-interval=2s --retries=10 CMD ["/check", "-v"]',
    '/bin/sh -c #(nop)  HEALTHCHECK &{["NONE"] "0s" "0s" "0s" \'\\x00\'}': "HEALTHCHECK NONE",
    "/bin/sh -c apt-get update": "RUN apt-get update",
    '/bin/sh -c echo "#(nop) CMD"': 'RUN echo "#(nop) CMD"',
    "|2 A=1 B=two words /bin/sh -c make $A": "# with A=1 B=two words\nRUN make $A",
    "|1 A=1 /app/make --all": "# with A=1\nRUN /app/make --all",
}  # fmt: skip

BUILDKIT = {
    "RUN /bin/sh -c apt-get update # buildkit": "RUN apt-get update",
    "RUN |2 A=1 B= /bin/sh -c make # buildkit": "# with A=1 B=\nRUN make",
    "RUN /bin/bash -o errexit -o pipefail -c make | tee log # buildkit": "# by /bin/bash -o errexit -o pipefail -c\nRUN make | tee log",
    "RUN |1 A=b /bin/bash -eo pipefail -c make # buildkit": "# with A=b\n# by /bin/bash -eo pipefail -c\nRUN make",
    "RUN /app/setup --all # buildkit": "RUN /app/setup --all",
    "RUN /bin/sh -c set -e\necho 1\n\nEOF\r\n# 2 # buildkit": "RUN <<EOF1\nset -e\necho 1\n\nEOF\n# 2\nEOF1",
    "COPY --chown=a:b src/in /in in /x # buildkit": "COPY --chown=a:b src/in /in in /x",
    "ADD rootfs.tar.xz / # buildkit": "ADD rootfs.tar.xz /",
    "EXPOSE map[53/tcp:{} 53/udp:{}]": "EXPOSE 53/tcp 53/udp",
    'CMD ["nginx" "-g" "daemon off;"]': 'CMD ["nginx", "-g", "daemon off;"]',
    "ENV NGINX_VERSION=1.27.3": "ENV NGINX_VERSION=1.27.3",
    "LABEL build_version=Linuxserver.io version:- a0 Build-date:- 2025": 'LABEL build_version="Linuxserver.io version:- a0 Build-date:- 2025"',
    "LABEL description=two\nlines": 'LABEL description="two \\\n    lines"',
    "WORKDIR /app": "WORKDIR /app",
}  # fmt: skip

OTHERS = {
    'CMD ["/bin/sh", "-c", "exec app"]': "CMD exec app",  # kaniko writes JSON
    'RUN ["/app", "x"]': 'RUN ["/app", "x"]',
    "cmd /S /C #(nop) WORKDIR C:\\app": "WORKDIR C:\\app",
    "cmd /S /C echo a && echo b": "RUN echo a && echo b",
    "powershell -Command $ErrorActionPreference = 'Stop'; #(nop)  USER x": "USER x",
    "Apply image 10.0.14393.0": "# Apply image 10.0.14393.0",
    "bazel build //:image": "# bazel build //:image",
    "jib-maven-plugin:3.4.0": "# jib-maven-plugin:3.4.0",
    "Buildpacks Launcher Config": "# Buildpacks Launcher Config",
    "# debian.sh --arch 'amd64' out/ 'trixie'": "# debian.sh --arch 'amd64' out/ 'trixie'",
    "FROM docker.io/library/alpine": "# FROM docker.io/library/alpine",
    "bash": "# bash",
    "one\ntwo\r\n\n# three": "# one\n# two\n# three",
    "": "",
    " # buildkit": "# buildkit",
}


@pytest.mark.parametrize("entries", [CLASSIC, BUILDKIT, OTHERS], ids=["classic", "buildkit", "others"])
def test_entries(entries: dict[str, str]) -> None:
    assert {text: instruction(text) for text in entries} == entries


def test_a_shell_that_an_earlier_step_has_set_says_nothing_new() -> None:
    one = recover("SHELL [/bin/bash -o pipefail -c]", DEFAULT_SHELL)
    assert (one.keyword, one.shell) == ("SHELL", BASH)
    assert instruction(f"RUN {BASH} make | tee log # buildkit", BASH) == "RUN make | tee log"
    assert instruction(f"{BASH} #(nop)  USER x", BASH) == "USER x"
    assert instruction(f"|1 A=1 {BASH} make", BASH) == "# with A=1\nRUN make"
    assert instruction('CMD ["/bin/bash" "-o" "pipefail" "-c" "run | tee log"]', BASH) == "CMD run | tee log"
    assert instruction("RUN /bin/sh -c make # buildkit", BASH) == "# by /bin/sh -c\nRUN make"
    assert recover("SHELL [cmd /S /C]", BASH).shell == "cmd /S /C"


def test_long_commands_break_where_the_dockerfile_did() -> None:
    assert instruction(
        "RUN /bin/sh -c set -eux; \tapt-get update; \tapt-get install -y --no-install-recommends \t\tcurl \t\tgit \t; "
        "\trm -rf /var/lib/apt/lists/* # buildkit"
    ) == (
        "RUN set -eux; \\\n    apt-get update; \\\n    apt-get install -y --no-install-recommends \\\n    curl \\\n    git \\\n"
        "    ; \\\n    rm -rf /var/lib/apt/lists/*"
    )
    long = "groupadd --system --gid 101 nginx && useradd --system --gid nginx --no-create-home nginx"
    assert instruction(f'/bin/sh -c {long}     && echo \'a  && b\' "c && \\"  d" e\\ \\ f   #  g') == (
        "RUN groupadd --system --gid 101 nginx \\\n    && useradd --system --gid nginx --no-create-home nginx \\\n"
        '    && echo \'a  && b\' "c && \\"  d" e\\ \\ f   # \\\n    g'
    )


def test_what_would_upset_a_terminal_or_an_encoder_is_gone() -> None:
    assert instruction("RUN /bin/sh -c \x1b[2Jecho \ud800\0") == "RUN \ufffd[2Jecho \ufffd\ufffd"
    assert (
        instruction('CMD ["\\ud83d\\ude00" "\\ud800" "\\U00ffffff" "\\x1b"]')
        == 'CMD ["😀", "\ufffd", "\ufffd", "\\u001b"]'
    )
    assert commented("a\x85b\x1b") == "# a\ufffdb\ufffd"


def test_long_texts_of_what_takes_a_second_look() -> None:
    begun = time.process_time()
    assert instruction("|1 A=1 " + "sh -o " * 50_000).startswith("# with A=1")
    assert instruction("RUN /bin/sh -c cat\n" + "\n".join(f"EOF{n or ''}" for n in range(50_000))).endswith("EOF50000")
    long = "x" * 1_000_000
    one = recover(f"SHELL [{long} -c]", DEFAULT_SHELL)
    assert (one.keyword, one.shell) == ("SHELL", "")  # it would be looked for in every step that follows
    assert time.process_time() - begun < 2


BEGINNINGS = [
    "", "RUN ", "RUN |9 ", "RUN /bin/sh -c x", "/bin/sh -c ", "/bin/sh -c #(nop)", "CMD [", 'CMD ["', "ENV ", "ENV A=", "LABEL a",
    "EXPOSE map[", "VOLUME [", "COPY ", "COPY file:0 ", "ADD a://", "HEALTHCHECK &{[", 'HEALTHCHECK &{["CMD"] ', "pwsh -Command ",
]  # fmt: skip
UNITS = [
    " ", "'", '"', "\\", "&& ", " \t", "a=", "a= ", '"" ', "[", ":{}", "x", "://", "/", "sh ", "sh -c ", " -o o", "] ", "\n", "#", "|1 ",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_long_text_of_anything_takes_no_time(beginning: str) -> None:
    for unit in UNITS:
        text = beginning + unit * (50_000 // len(unit))
        begun = time.process_time()
        assert len(instruction(text)) < 8 * len(text)
        instruction(text + "#")
        instruction(text + "'}")
        assert time.process_time() - begun < 1, unit  # what is quadratic takes ten
