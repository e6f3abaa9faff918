"""Zips: decoded names, no system files, each member read or refused with a sentence."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from engines.data.archives import ArchiveError, is_system_file, left_out_notices, members, opened, read_member
from tests.engines.helpers import refusal


def zip_named(path: Path, contents: dict[str, bytes], encoding: str) -> Path:
    """A zip with names in an undeclared encoding, as many programs write them."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, content in enumerate(contents.values()):
            archive.writestr(f"{number:08d}", content)
    data = path.read_bytes()
    for number, name in enumerate(contents):
        placeholder, raw = f"{number:08d}".encode(), name.encode(encoding)
        for sign, place in ((b"PK\x03\x04", 26), (b"PK\x01\x02", 28)):
            name_at = {26: 30, 28: 46}[place]
            start = data.index(placeholder) if place == 26 else data.rindex(placeholder)
            head = bytearray(data[start - name_at : start])
            assert head.startswith(sign)
            struct.pack_into("<H", head, place, len(raw))
            data = data[: start - name_at] + bytes(head) + raw + data[start + len(placeholder) :]
    path.write_bytes(_with_offsets(data))
    return path


def _with_offsets(data: bytes) -> bytes:
    """The same zip with offsets corrected after its names have changed."""
    data, place, local = bytearray(data), data.index(b"PK\x01\x02"), 0
    directory = place
    while data[place : place + 4] == b"PK\x01\x02":
        size, name, extra, comment = (
            *struct.unpack_from("<I", data, place + 20),
            *struct.unpack_from("<HHH", data, place + 28),
        )
        struct.pack_into("<I", data, place + 42, local)
        local += 30 + sum(struct.unpack_from("<HH", data, local + 26)) + size
        place += 46 + name + extra + comment
    struct.pack_into("<II", data, place + 12, place - directory, directory)
    return bytes(data)


def encrypted(path: Path, name: str) -> Path:
    """The same zip with a member flagged as encrypted."""
    data = bytearray(path.read_bytes())
    for sign, place, flags in ((b"PK\x03\x04", 30, 6), (b"PK\x01\x02", 46, 8)):
        start = data.index(name.encode()) if sign == b"PK\x03\x04" else data.rindex(name.encode())
        assert data[start - place : start - place + 4] == sign
        data[start - place + flags] |= 1
    path.write_bytes(data)
    return path


def names_in(path: Path) -> list[str]:
    with opened(path) as archive:
        return [member.name for member in members(archive)]


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["바다.png"], "cp949"),
        (["여름 휴가/바다.png", "여름 휴가/똠방각하.png"], "cp949"),
        (["바다.png"], "utf-8"),
        (["海.png"], "cp932"),
        (["写真/夏休み.jpg", "写真/表.jpg"], "cp932"),
        (["カタカナ.png"], "cp932"),
        (["schön.png", "Übung.png", "café.jpg"], "cp437"),
        (["plain.png"], "ascii"),
    ],
)
def test_names_are_as_they_were_given_whatever_they_are_packed_in(tmp_path, names, encoding):
    path = zip_named(tmp_path / "a.zip", {name: name.encode() for name in names}, encoding)
    with opened(path) as archive:
        found = members(archive)
        assert {member.name for member in found} == set(names)
        for member in found:
            assert read_member(archive, member.key, 1000) == member.name.encode()


def test_names_that_say_their_encoding_and_those_of_a_mac_are_told_alike(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("\u1107\u1161\u1103\u1161.png", b"")  # 바다, decomposed as a Mac has it
        archive.writestr("folder\\b.png", b"")
    assert names_in(tmp_path / "a.zip") == ["folder/b.png", "바다.png"]


def test_folders_and_what_lies_aside_are_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("b/", "b/a.txt", "b/._a.txt", "__MACOSX/b/._a.txt", ".hidden", ".git/x", "./c.txt", "../d.txt"):
            archive.writestr(name, b"")
    assert names_in(tmp_path / "a.zip") == ["../d.txt", "./c.txt", "b/a.txt"]
    assert is_system_file("a/.DS_Store")
    assert not is_system_file("a/b.c")


def test_what_cannot_be_unpacked_is_refused_with_a_sentence_that_says_why(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("large", bytes(2 << 20))
        archive.writestr("secret", b"x")
        archive.writestr("broken", b"here is what will be another thing")
    data = encrypted(path, "secret").read_bytes()
    data = bytearray(data.replace(b"another thing", b"another thinG"))
    struct.pack_into("<H", data, data.rindex(b"large") - 46 + 10, 9)  # deflate64
    path.write_bytes(data)
    with opened(path) as archive:
        assert "unsupported" in refusal(ArchiveError, read_member, archive, "large", 4 << 20)
        assert "password" in refusal(ArchiveError, read_member, archive, "secret", 100)
        assert "damaged" in refusal(ArchiveError, read_member, archive, "broken", 100)


def test_of_many_that_were_left_out_some_are_told_of_one_by_one():
    wrong = [(f"{i}.png", ValueError("This is wrong.")) for i in range(5)]
    assert left_out_notices(wrong[:1]) == ("0.png was skipped: This is wrong.",)
    assert left_out_notices(wrong[:4])[-1] == "One more file was skipped."
    assert left_out_notices(wrong)[-1] == "2 more files were skipped."
