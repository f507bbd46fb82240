"""What a form brought, field by field; and that it was one of our own. Raises InvalidArgument for what no form of ours sends."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from naru.errors import Forbidden, InvalidArgument

FORM_KEY = "form_key"
_LARGEST = 1 << 53


class Problem(InvalidArgument):
    """Something that the person can put right, said in their language: `key` is one of `words`."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Form:
    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            if "\0" in value or "\0" in name:
                raise InvalidArgument("a field holds a NUL character")
            self._fields.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, default: str = "") -> str:
        """With the line ends that people mean, and without the blanks around it."""
        return self.raw(name, default).replace("\r\n", "\n").strip()

    def raw(self, name: str, default: str = "") -> str:
        return self._fields.get(name, [default])[0]

    def all(self, name: str) -> list[str]:
        return [value for value in self._fields.get(name, []) if value]

    def flag(self, name: str) -> bool:
        return self.raw(name) in ("1", "on", "true")

    def number(self, name: str) -> int | None:
        """None if it is empty."""
        return number(self.text(name), name) if self.text(name) else None


def number(text: str, what: str) -> int:
    """Raises InvalidArgument."""
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) >= _LARGEST:
        raise InvalidArgument(f"{what}: {text[:30]!r} is not a number")
    return int(text)


async def read(request: web.Request) -> Form:
    try:
        fields = await request.post()
    except (ValueError, LookupError) as error:
        raise InvalidArgument("the form cannot be read") from error
    return Form((name, value) for name, value in fields.items() if isinstance(value, str))


def check_origin(request: web.Request, address: str) -> None:
    """Browsers say where a form comes from. Raises Forbidden for another site."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    hosts = {request.host, urlsplit(address).netloc}
    if (site is not None and site not in ("same-origin", "none")) or (
        origin is not None and urlsplit(origin).netloc not in hosts
    ):
        raise Forbidden("this form was sent by another site")


def check_key(form: Form, expected: str) -> None:
    """Raises Forbidden."""
    given = form.raw(FORM_KEY)
    if not expected or not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Forbidden("this form is too old, or was made elsewhere: go back, reload the page, and try again")
