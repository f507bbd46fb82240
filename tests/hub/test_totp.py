"""One-time passwords: the RFCs' own vectors, clocks that differ, codes used twice, and what people type."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from naru.errors import InvalidArgument
from naru.hub.people.totp import (
    RECOVERY_BYTES,
    code,
    matching_step,
    new_secret,
    normal_recovery_code,
    provisioning_uri,
    recovery_codes,
)

SECRET = new_secret(b"12345678901234567890")  # of both RFCs

# RFC 6238, appendix B, SHA-1: its eight digits end with our six
TIMES = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
# RFC 4226, appendix D: counters 0 to 9
COUNTERS = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489".split()


def test_the_vectors_of_the_rfcs() -> None:
    assert SECRET == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert {at: code(SECRET, at) for at in TIMES} == {at: digits[2:] for at, digits in TIMES.items()}
    assert [code(SECRET, step * 30 + 29.999) for step in range(10)] == COUNTERS


def test_a_code_is_good_in_its_step_and_its_neighbours() -> None:
    now_s, step = 1_700_000_015.5, 1_700_000_015 // 30
    for skew, found in {-2: None, -1: step - 1, 0: step, 1: step + 1, 2: None}.items():
        assert matching_step(SECRET, code(SECRET, now_s + skew * 30), now_s, None) == found


def test_a_code_is_good_once_and_so_are_those_before_it() -> None:
    now_s, step = 1_700_000_015.0, 1_700_000_015 // 30
    shown = code(SECRET, now_s)
    assert matching_step(SECRET, shown, now_s, step - 1) == step
    assert matching_step(SECRET, shown, now_s, step) is None
    assert matching_step(SECRET, shown, now_s, step + 1) is None
    assert matching_step(SECRET, code(SECRET, now_s - 30), now_s, step) is None
    assert matching_step(SECRET, code(SECRET, now_s + 30), now_s, step) == step + 1


def test_at_the_beginning_of_time_there_is_no_step_before() -> None:
    assert matching_step(SECRET, COUNTERS[0], 0, None) == 0
    assert matching_step(SECRET, COUNTERS[1], 0, None) == 1


@pytest.mark.parametrize("given", ["", "0", "07081", "0070818", "-70818", "abcdef", "०७०८१८", "07081\0", "1" * 10**6])
def test_what_is_no_code_is_wrong(given: str) -> None:
    assert matching_step(SECRET, given, 1111111109, None) is None


def test_codes_and_secrets_as_people_type_them() -> None:
    step = 1111111109 // 30
    assert matching_step(SECRET, " 081 804\n", 1111111109, None) == step
    typed = "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"
    assert matching_step(typed, "081804", 1111111109, None) == step
    assert code("MFRGG===", 59) == code("mfrgg", 59)


@pytest.mark.parametrize("secret", ["", "   ", "1", "A", "AB!DEFGH", "ÄBCDEFGH", "\0" * 8])
def test_a_secret_that_is_not_base32_is_refused_and_not_repeated(secret: str) -> None:
    for ask in (
        lambda: code(secret, 0),
        lambda: matching_step(secret, "123456", 0, None),
        lambda: provisioning_uri(secret, "ann", "Naru"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            ask()
        assert len(secret) < 3 or secret not in str(caught.value)


def test_the_uri_of_the_qr_code() -> None:
    uri = provisioning_uri(SECRET, "ann+x@example.com", "Naru & Söhne")
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == "/Naru & Söhne:ann+x@example.com"
    assert parse_qs(parts.query) == {
        "secret": [SECRET], "issuer": ["Naru & Söhne"], "algorithm": ["SHA1"], "digits": ["6"], "period": ["30"],
    }  # fmt: skip
    assert "+" not in uri and " " not in uri  # apps read %20, and take + for itself
    for account, issuer in (("", "Naru"), ("ann", ""), ("a:b", "Naru"), ("ann", "localhost:5000")):
        with pytest.raises(InvalidArgument):
            provisioning_uri(SECRET, account, issuer)


def test_recovery_codes_are_ten_readable_and_different() -> None:
    codes = recovery_codes(hashlib.shake_256(b"entropy").digest(RECOVERY_BYTES))
    assert len(set(codes)) == 10
    for each in codes:
        left, dash, right = each.partition("-")
        assert (len(left), dash, len(right)) == (5, "-", 5)
        assert normal_recovery_code(each) == each
        assert normal_recovery_code(f"  {left.upper()} {right} ") == each
    assert recovery_codes(bytes(RECOVERY_BYTES))[0] == "aaaaa-aaaaa"


@pytest.mark.parametrize(
    "text", ["", "aaaaa-aaaa", "aaaaa-aaaaaa", "aaaaa-aaaa1", "äaaaa-aaaaa", "1" * 10, "a" * 10**6]
)
def test_what_is_no_recovery_code(text: str) -> None:
    assert normal_recovery_code(text) is None


def test_too_little_entropy_is_refused() -> None:
    for make, length in ((new_secret, 19), (new_secret, 0), (recovery_codes, 69), (recovery_codes, 71)):
        with pytest.raises(InvalidArgument):
            make(bytes(length))
