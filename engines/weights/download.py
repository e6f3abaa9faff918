"""Resumable, cancellable, verified downloads.

What arrives is kept in a `.part` file beside the destination, and the next attempt asks for the rest. The destination
is a copy of the part, hashed as it is written and renamed once the hash is right: whatever else may write to the part
cannot spoil it.
"""

from __future__ import annotations

import hashlib
import http
import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from engines.core.files import md5_of, written_atomically
from engines.core.messages import message

CHUNK = 1 << 18
# How often whoever waits for somebody else's download looks how far it is, in seconds.
LOOKS = 0.25
# All that urllib raises where a connection cannot be made or does not hold.
_BROKEN = (OSError, http.client.HTTPException)


class DownloadError(ValueError):
    """A file that could not be fetched; the message is a sentence for a person."""


class UnreachableError(DownloadError):
    """The connection failed, or the server refused. What has arrived is kept."""


class UnwritableError(DownloadError):
    """The file cannot be written where it should be."""


class WrongContentError(DownloadError):
    """The file is not the one that was meant. Nothing is kept."""


@dataclass
class _Turn:
    """Who fetches a file: one at a time, the others wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    total: int = 0


_turns: dict[Path, _Turn] = {}


def part_of(destination: Path) -> Path:
    """Where a download keeps what has arrived so far."""
    return destination.with_name(f"{destination.name}.part")


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def copied_if(source: Path, destination: Path, md5: str) -> bool:
    """Copy a file if its content has this MD5, and say whether it had; the copy is whole or not there."""
    hasher = hashlib.md5(usedforsecurity=False)
    try:
        with source.open("rb") as original, written_atomically(destination) as file:
            while chunk := original.read(CHUNK):
                hasher.update(chunk)
                file.write(chunk)
            if hasher.hexdigest() != md5:
                raise WrongContentError(message("{file} is not the file that was meant.", file=source.name))
    except WrongContentError:
        return False
    return True


def forget_part(destination: Path) -> bool:
    """Remove what has arrived of a file, unless somebody is fetching it; returns whether nobody was."""
    turn = _turn_for(destination)
    if not turn.lock.acquire(blocking=False):
        return False
    try:
        part_of(destination).unlink(missing_ok=True)
    finally:
        turn.lock.release()
    return True


def fetch(url: str, destination: Path, md5: str, *, timeout: float = 20) -> Generator[tuple[int, int], None, None]:
    """Fetch a file, yielding (bytes so far, bytes in all; 0 if unknown). Closing the iterator keeps what has arrived.

    Who asks for a file that somebody else in this process is fetching sees how far that is; if that one gives up, the
    next in line goes on from there.

    Args:
        md5: of the file, in hexadecimal.
        timeout: seconds without a byte after which the connection is given up.

    Raises:
        UnreachableError: no connection, one that broke off, or a server that refuses; the next attempt goes on.
        UnwritableError: no room or no right to write.
        WrongContentError: the server has another file there.
    """
    turn, waited = _turn_for(destination), False
    while not turn.lock.acquire(timeout=LOOKS):
        waited = True
        yield size_of(part_of(destination)), turn.total
    try:
        if waited and destination.is_file() and md5_of(destination) == md5:
            yield size_of(destination), size_of(destination)
        else:
            yield from _fetched(url, destination, md5, timeout, turn)
    finally:
        turn.lock.release()


def _turn_for(destination: Path) -> _Turn:
    return _turns.setdefault(destination.absolute(), _Turn())


def _fetched(url: str, destination: Path, md5: str, timeout: float, turn: _Turn) -> Iterator[tuple[int, int]]:
    part = part_of(destination)
    try:
        # Whole already where somebody was interrupted between the last byte and the copy.
        if not (part.is_file() and md5_of(part) == md5):
            yield from _received(url, part, timeout, turn)
        whole = copied_if(part, destination, md5)
        part.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableError(
            message("There is no room for {file}, or no right to write it.", file=destination.name)
        ) from error
    if not whole:
        raise WrongContentError(
            message("What was downloaded as {file} is another file; nothing was kept.", file=destination.name)
        )


def _received(url: str, part: Path, timeout: float, turn: _Turn) -> Iterator[tuple[int, int]]:
    """Write what a server sends into the part, from where that ends; what else raises OSError is the disk's."""
    broken = UnreachableError(message("The file could not be downloaded, as the connection failed or broke off."))
    try:
        response, done = _opened(url, size_of(part), timeout)
    except _BROKEN as error:
        raise broken from error
    with response, _opened_at(part, done) as file:
        turn.total = done + response.length if response.length else 0
        while True:
            try:
                chunk = response.read(CHUNK)
            except _BROKEN as error:
                raise broken from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            yield done, turn.total
    if done < turn.total:
        raise broken


def _opened(url: str, have: int, timeout: float) -> tuple[http.client.HTTPResponse, int]:
    """A server's answer, and which byte of the file it begins with: `have`, or 0 where it knows no ranges."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        # The part is longer than the file, so it is of another one.
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _opened(url, 0, timeout)
        raise
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return response, 0
    if response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        return response, have
    response.close()
    if not have:
        raise http.client.HTTPException("a range that nobody asked for")
    return _opened(url, 0, timeout)


def _opened_at(part: Path, place: int) -> IO[bytes]:
    """The part, opened to be written on from a place; what was behind it is gone."""
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    file = part.open("r+b")
    file.truncate(place)
    file.seek(place)
    return file
