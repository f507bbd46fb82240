from __future__ import annotations

import pytest

from naru.build.parse import LINE_LIMIT_BYTES, DockerfileError, heredoc_word, parse, words


def _lines(text: str | bytes) -> list[tuple[str, str, int, int]]:
    file = parse(text if isinstance(text, bytes) else text.encode())
    return [(node.name, node.rest, node.first_line, node.last_line) for node in file.nodes]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a", [("FROM", "a", 1, 1)]),
        ("FROM a\nRUN b\n", [("FROM", "a", 1, 1), ("RUN", "b", 2, 2)]),
        ("\n\n  from   a  \n", [("from", "a", 3, 3)]),
        ("FROM\ta\r\nRUN b\r\n", [("FROM", "a", 1, 1), ("RUN", "b", 2, 2)]),
        (b"\xef\xbb\xbfFROM a", [("FROM", "a", 1, 1)]),
        ("# c\nFROM a # no comment\n  # c\n", [("FROM", "a # no comment", 2, 2)]),
        # continuation
        ("RUN a \\\n  b\n", [("RUN", "a   b", 1, 2)]),
        ("RUN a\\\nb\n", [("RUN", "ab", 1, 2)]),
        ("RUN a \\ \t\nb\n", [("RUN", "a b", 1, 2)]),
        ("RUN a \\\n# comment\n   # another\nb\n", [("RUN", "a b", 1, 4)]),
        ("RUN a \\\n\n\nb\nRUN c", [("RUN", "a b", 1, 4), ("RUN", "c", 5, 5)]),
        ("RUN a \\\\\nRUN b", [("RUN", "a \\\\", 1, 1), ("RUN", "b", 2, 2)]),
        ("RUN a \\", [("RUN", "a", 1, 1)]),
        ("\\\nRUN a", [("RUN", "a", 1, 2)]),
        # the escape directive
        ("# escape=`\nRUN a `\n b\\\nRUN c", [("RUN", "a  b\\", 2, 3), ("RUN", "c", 4, 4)]),
        ("# a comment\n# escape=`\nRUN a \\\nb", [("RUN", "a b", 3, 4)]),
        ("\n# escape=`\nRUN a `", [("RUN", "a `", 3, 3)]),
    ],
)
def test_logical_lines(text: str | bytes, expected: list[tuple[str, str, int, int]]) -> None:
    assert _lines(text) == expected


@pytest.mark.parametrize(
    ("line", "flags", "rest"),
    [
        ("COPY --from=a --chown=b c d", ("--from=a", "--chown=b"), "c d"),
        ("COPY -- --odd d", (), "--odd d"),
        ("COPY --a -- b", ("--a",), "b"),
        ('RUN --mount="type=cache,target=/a b" x', ("--mount=type=cache,target=/a b",), "x"),
        (r"RUN --x=a\ b c", ("--x=a b",), "c"),
        ("RUN --x", ("--x",), ""),
        ("RUN -x", (), "-x"),
        ('CMD [ "--a" ]', (), '[ "--a" ]'),
    ],
)
def test_flags(line: str, flags: tuple[str, ...], rest: str) -> None:
    (node,) = parse(line.encode()).nodes
    assert (node.flags, node.rest) == (flags, rest)


def test_directives() -> None:
    file = parse(
        b"# Syntax = docker/dockerfile:1 \n#check=skip=all\n# escape=`\n# syntax=late is a duplicate? no: below\nFROM a"[
            :62
        ]
        + b"\nFROM a"
    )
    assert (file.syntax, file.check, file.escape) == ("docker/dockerfile:1", "skip=all", "`")
    file = parse(b"# unknown=x\n# syntax=a\nFROM a")
    assert file.syntax == ""


@pytest.mark.parametrize(
    ("text", "heredocs", "rest"),
    [
        ("RUN <<EOF\na\nb\nEOF\n", [("EOF", "a\nb\n", True, False)], "<<EOF"),
        ("RUN <<'EOF' cat\n$a\nEOF", [("EOF", "$a\n", False, False)], "<<'EOF' cat"),
        ('COPY <<"a b" /x\n1\na b\n', [("a b", "1\n", False, False)], '<<"a b" /x'),
        ("RUN <<-EOF\n\t\ta\n\tEOF\n", [("EOF", "\t\ta\n", True, True)], "<<-EOF"),
        ("RUN << EOF\na\nEOF\n", [("EOF", "a\n", True, False)], "<< EOF"),
        ("RUN 3<<A 4<<B x\n1\nA\n2\nB\n", [("A", "1\n", True, False), ("B", "2\n", True, False)], "3<<A 4<<B x"),
        ("RUN <<EOF\n# no comment \\\n\nEOF\n", [("EOF", "# no comment \\\n\n", True, False)], "<<EOF"),
        ("RUN <<EOF\r\na\r\nEOF\r\n", [("EOF", "a\r\n", True, False)], "<<EOF"),
        ("ONBUILD RUN <<EOF\na\nEOF\n", [("EOF", "a\n", True, False)], "RUN <<EOF"),
        ("RUN cat <<<x\n", [], "cat <<<x"),
        ("RUN a<<EOF\n", [], "a<<EOF"),
        ("RUN echo '<<EOF'\n", [], "echo '<<EOF'"),
        ("RUN echo $((1<<2))\n", [], "echo $((1<<2))"),
        ("ENV a=<<EOF\n", [], "a=<<EOF"),
        ('RUN ["cat", "<<EOF"]\n', [], '["cat", "<<EOF"]'),
    ],
)
def test_heredocs(text: str, heredocs: list[tuple[str, str, bool, bool]], rest: str) -> None:
    (node,) = parse(text.encode()).nodes
    assert [(h.name, h.content, h.expand, h.chomp) for h in node.heredocs] == heredocs
    assert node.rest == rest


def test_a_chomped_heredoc_loses_its_tabs() -> None:
    (node,) = parse(b"COPY <<-EOF /x\n\t\ta\tb\n\tc\nEOF\n").nodes
    assert node.heredocs[0].text == "a\tb\nc\n"
    assert (node.first_line, node.last_line) == (1, 4)


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"", r"the Dockerfile \(Dockerfile\) cannot be empty", 0),
        (b" \n\t\n", r"the Dockerfile \(Dockerfile\) cannot be empty", 0),
        (b"# only\n# comments\n", "file with no instructions", 2),
        (b"FROM a\nRUN <<EOF\nx\n", "line 2: unterminated heredoc", 2),
        (b"# escape=x\nFROM a", r"line 1: invalid escape token 'x' does not match ` or \\", 1),
        (b"# syntax=a\n# SYNTAX=b\nFROM a", "line 2: only one syntax parser directive can be used", 2),
        (b"FROM a\nENV a=\0\n", "line 2: the line contains a NUL character", 2),
        (b"FROM a\n" + b"ENV a=b\n" * 10_000, "more than 10000 instructions", 10_001),
        (
            b"FROM a\nRUN " + b"x" * LINE_LIMIT_BYTES,
            "line 2: dockerfile line greater than max allowed size of 65535",
            2,
        ),
    ],
)
def test_refused(data: bytes, message: str, line: int) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        parse(data)
    assert caught.value.first_line == line


def test_another_file_is_named() -> None:
    with pytest.raises(
        DockerfileError, match=r"^failed to parse docker/app: dockerfile parse error on line 1: unterminated"
    ):
        parse(b"RUN <<A\n", "docker/app")


def test_an_empty_continuation_line_is_a_warning() -> None:
    assert parse(b"RUN a \\\n\nb\n").warnings == ("Empty continuation line found in: RUN a b",)


def test_comments_stay_with_what_they_describe() -> None:
    first, second = parse(b"# base the base\nFROM a AS base\nRUN b\n").nodes
    assert first.comments == ("base the base",)
    assert second.comments == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b c", ["a=b", "c"]),
        ("a='b c' d", ["a='b c'", "d"]),
        (r"a=b\ c d", [r"a=b\ c", "d"]),
        ('a="b\\" c" d', ['a="b\\" c"', "d"]),
        ("a='b\\' c", ["a='b\\'", "c"]),
        ('""', ['""']),
        ("a\\", ["a"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text, "\\") == expected


@pytest.mark.parametrize("text", ["<<", "<<-", "<", "<<<a", "a<<b", "<<a<b", '<<""'])
def test_no_heredoc(text: str) -> None:
    assert heredoc_word(text) is None


def test_text_that_is_not_utf8_does_not_stop_us() -> None:
    assert len(parse(b"FROM a\nLABEL x=\xff\xfe\n").nodes) == 2
