"""What parts print loses its secrets and keeps its sense (DESIGN §4 rule 12)."""

from __future__ import annotations

import base64
import json

import pytest

from aauthkit.demo.supervisor.redaction import HIDDEN, Redactor

# In two pieces, so that no file here looks as if it held a key.
_LABEL = "PRIVATE" + " KEY"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


JWT = f"{part({'alg': 'EdDSA', 'typ': 'aa-auth+jwt'})}.{part({'sub': 'x', 'jti': 'y'})}.{'s' * 86}"
SIGNATURE = base64.b64encode(bytes(range(64))).decode()
PRIVATE = base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f'Signature-Key: sig=jwt;jwt="{JWT}"', JWT),
        (f"got {JWT} from the person server", JWT),
        (f"cut short: {JWT[:60]}", JWT[:60]),
        (f"Signature: sig=:{SIGNATURE}:", SIGNATURE),
        (f"(b'signature', b'sig=:{SIGNATURE}:')", SIGNATURE),
        ("Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA", "2YotnFZFEjr1zCsicMWpAA"),
        ("authorization=Basic bWNwLXVzZXI6dXNlcjEyMw==", "bWNwLXVzZXI6dXNlcjEyMw"),
        ('{"authorization": "Bearer 2YotnFZFEjr1zCsicMWpAA"}', "2YotnFZFEjr1zCsicMWpAA"),
        ("sending bearer 2YotnFZFEjr1zCsicMWpAA now", "2YotnFZFEjr1zCsicMWpAA"),
        ("Cookie: session=f00dfeedf00dfeed", "f00dfeedf00dfeed"),
        ("AAuth-Access: opaque-f00dfeed", "opaque-f00dfeed"),
        (f'{{"kty":"OKP","crv":"Ed25519","x":"abc","d":"{PRIVATE}"}}', PRIVATE),
        (f"{{'kty': 'OKP', 'd': '{PRIVATE}'}}", PRIVATE),
        ("AAUTH_TICKET=k3v9-moss-lantern", "k3v9-moss-lantern"),
        ('{"ticket": "k3v9-moss-lantern"}', "k3v9-moss-lantern"),
        ("password=user123&grant_type=password", "user123"),
        ('"GET /callback?state=af0ifjsldkjaf0ifjsldkj&code=SplxlOBeZQQYbYS6WxSbIA HTTP/1.1"', "SplxlOBeZQQYbYS6WxSbIA"),
    ],
)
def test_a_secret_is_hidden(line: str, secret: str) -> None:
    clean = Redactor().clean(line)
    assert secret not in clean
    assert HIDDEN in clean


@pytest.mark.parametrize(
    "line",
    [
        "INFO:     Uvicorn running on http://127.0.0.1:8765 (Press CTRL+C to quit)",
        'Signature-Error: error=invalid_input, required_input=("@method" "@authority" "@path" "signature-key")',
        'Signature-Input: sig=("@method" "@authority" "@path" "signature-key");created=1700000000',
        "consent at http://127.0.0.1:8765/ui/consent.html?code=7QK2-M9XF",
        '{"time":"2026-01-01T00:00:00Z","result":"allowed","resource_token_jti":"b4f0b0de-1111-4222-8333-444455556666"}',
        'AAuth-Requirement: requirement=interaction; url="http://127.0.0.1:8765/ui/consent.html"; code="7QK2M9XF"',
        "aauth:0b9a6a52-8d5c-4d8e-9a4f-2f6c2f7c9a11@agent-server.example planned 12 purchases",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert Redactor().clean(line) == line


def test_a_private_key_is_hidden_over_all_its_lines() -> None:
    redactor = Redactor()
    lines = ["before", f"-----BEGIN {_LABEL}-----", "MC4CAQAwBQYDK2VwBCIEIA", f"-----END {_LABEL}-----", "after"]
    assert [redactor.clean(line) for line in lines] == ["before", HIDDEN, HIDDEN, HIDDEN, "after"]


def test_a_private_key_on_one_line_hides_that_line_only() -> None:
    redactor = Redactor()
    one_line = rf"key: -----BEGIN EC {_LABEL}-----\nMHcCAQ\n-----END EC {_LABEL}-----"
    assert [redactor.clean(one_line), redactor.clean("after")] == [HIDDEN, "after"]


def test_a_secret_the_supervisor_handed_out_is_hidden_wherever_it_appears() -> None:
    assert Redactor({"moss"}).clean("a mossy stone") == f"a {HIDDEN}y stone"
