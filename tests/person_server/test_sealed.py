"""What is sealed is read by whoever has the key, for what it was sealed for, and by nobody else."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from aauthkit.cli.person.keeping import sealer
from aauthkit.errors import ConfigurationError
from aauthkit.person_server.sealed import SealBroken, Sealer, keys_in

OLD, NEW = bytes(32), bytes(range(32))


def changed(text: str, place: int) -> str:
    """The text with one character of its last part another."""
    position = len(text) - place
    other = "A" if text[position] != "A" else "B"
    return f"{text[:position]}{other}{text[position + 1 :]}"


def in_base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AAUTH_SECRET_KEY", raising=False)


def test_what_was_sealed_is_opened_and_is_not_readable_before() -> None:
    text = Sealer([NEW]).seal(b"a refresh token", purpose="refresh:alice")
    assert Sealer([NEW]).open(text, purpose="refresh:alice") == b"a refresh token"
    assert b"refresh token" not in base64.urlsafe_b64decode(text.rpartition(".")[2] + "==")
    assert text != Sealer([NEW]).seal(b"a refresh token", purpose="refresh:alice")
    assert Sealer([NEW]).open(Sealer([NEW]).seal(b"", purpose="p"), purpose="p") == b""


def test_sealed_for_one_purpose_is_refused_for_another() -> None:
    text = Sealer([NEW]).seal(b"x", purpose="refresh:alice")
    with pytest.raises(SealBroken):
        Sealer([NEW]).open(text, purpose="refresh:bob")


@pytest.mark.parametrize("place", [2, 12, 24, 40])
def test_one_character_changed_is_noticed(place: int) -> None:
    text = Sealer([NEW]).seal(b"a refresh token", purpose="p")
    with pytest.raises(SealBroken):
        Sealer([NEW]).open(changed(text, place), purpose="p")


@pytest.mark.parametrize("text", ["", "sealed1", "sealed1.x.", "sealed1.x.AAAA", "sealed2.x.y", "in the clear", "..."])
def test_what_was_never_sealed_is_not_taken_for_it(text: str) -> None:
    with pytest.raises(SealBroken):
        Sealer([NEW]).open(text, purpose="p")


def test_a_wrong_key_is_told_by_name_and_without_the_key() -> None:
    text = Sealer([OLD]).seal(b"x", purpose="p")
    with pytest.raises(ConfigurationError, match="give it that key too") as raised:
        Sealer([NEW]).open(text, purpose="p")
    assert Sealer([OLD]).kid in raised.value.detail
    assert in_base64(NEW) not in raised.value.detail


def test_a_text_cannot_be_passed_off_as_sealed_by_another_key() -> None:
    both = Sealer([NEW, OLD])
    text = both.seal(b"x", purpose="p").replace(both.kid, Sealer([OLD]).kid)
    with pytest.raises(SealBroken):
        both.open(text, purpose="p")


def test_keys_are_changed_by_putting_the_new_one_first() -> None:
    text = Sealer([OLD]).seal(b"x", purpose="p")
    both = Sealer([NEW, OLD])
    assert both.open(text, purpose="p") == b"x"
    assert not both.is_current(text)
    anew = both.seal(b"x", purpose="p")
    assert both.is_current(anew)
    assert Sealer([NEW]).open(anew, purpose="p") == b"x"


def test_a_sealer_shows_no_key() -> None:
    assert "".join(map(str, (repr(Sealer([NEW])), Sealer([NEW])))).count(in_base64(NEW)[:8]) == 0


@pytest.mark.parametrize("text", ["", " , ", "AAAA", in_base64(bytes(31)), in_base64(bytes(33)), "not base64!", "ÄÖ"])
def test_a_key_is_32_bytes_in_base64_and_a_wrong_one_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as raised:
        keys_in(text)
    assert text.strip(" ,") in ("", *raised.value.detail.split()) or text not in raised.value.detail


def test_several_keys_and_both_alphabets() -> None:
    key = bytes([0xFB, 0xFF] * 16)
    assert keys_in(f"{in_base64(key)},{base64.urlsafe_b64encode(OLD).decode()}\n") == (key, OLD)
    assert keys_in(base64.urlsafe_b64encode(key).decode()) == (key,)


def test_without_the_variable_a_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    text = sealer(tmp_path).seal(b"x", purpose="p")
    assert sealer(tmp_path).open(text, purpose="p") == b"x"
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    (tmp_path / "secret-key").chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        sealer(tmp_path)


def test_the_variable_seals_and_the_file_still_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sealer(tmp_path).seal(b"x", purpose="p")
    monkeypatch.setenv("AAUTH_SECRET_KEY", in_base64(NEW))
    after = sealer(tmp_path)
    assert after.open(before, purpose="p") == b"x"
    assert after.kid == Sealer([NEW]).kid


def test_with_the_variable_no_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_SECRET_KEY", in_base64(os.urandom(32)))
    sealer(tmp_path)
    assert not (tmp_path / "secret-key").exists()
