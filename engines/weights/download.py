"""Resumable, cancellable, verified downloads.

Received data is kept in a `.part` file beside the destination, and the next attempt requests the rest. The destination
is a copy of the part, hashed while it is written and renamed if the hash matches, so that other writers to the part
cannot corrupt it.
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
# Seconds between progress updates while another thread downloads the file.
POLL_SECONDS = 0.25
# What urllib raises if a connection fails or breaks.
_BROKEN = (OSError, http.client.HTTPException)


class DownloadError(ValueError):
    """A file that could not be downloaded; the message is for the user."""


class UnreachableError(DownloadError):
    """The connection failed, or the server refused. Received data is kept."""


class UnwritableError(DownloadError):
    """The file cannot be written."""


class WrongContentError(DownloadError):
    """The file has the wrong hash. Nothing is kept."""


@dataclass
class _Transfer:
    """The download of a file: its lock is held by the downloading thread; `total` is the size in bytes."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    total: int = 0


_transfers: dict[Path, _Transfer] = {}


def part_of(destination: Path) -> Path:
    """The file with the data received so far."""
    return destination.with_name(f"{destination.name}.part")


def size_of(path: Path) -> int:
    """Size of a file in bytes; 0 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def copy_if_matching(source: Path, destination: Path, md5: str) -> bool:
    """Copy a file atomically if it has this MD5; returns whether it has."""
    hasher = hashlib.md5(usedforsecurity=False)
    try:
        with source.open("rb") as original, written_atomically(destination) as file:
            while chunk := original.read(CHUNK):
                hasher.update(chunk)
                file.write(chunk)
            if hasher.hexdigest() != md5:
                raise WrongContentError(message("{file} is not the expected file.", file=source.name))
    except WrongContentError:
        return False
    return True


def discard_part(destination: Path) -> bool:
    """Delete a partial download, unless it is in progress; returns whether it was not."""
    transfer = _transfer_for(destination)
    if not transfer.lock.acquire(blocking=False):
        return False
    try:
        part_of(destination).unlink(missing_ok=True)
    finally:
        transfer.lock.release()
    return True


def fetch(url: str, destination: Path, md5: str, *, timeout: float = 20) -> Generator[tuple[int, int], None, None]:
    """Download a file, yielding (bytes so far, total bytes or 0 if unknown). Closing the iterator keeps received data.

    If another thread is downloading the file, yields its progress, and takes over if it stops.

    Args:
        md5: MD5 of the file, in hexadecimal.
        timeout: seconds without data until the connection is closed.

    Raises:
        UnreachableError: no connection, a broken one, or a refusing server; the next attempt resumes.
        UnwritableError: no space or no permission.
        WrongContentError: the server's file has another hash.
    """
    transfer, waited = _transfer_for(destination), False
    while not transfer.lock.acquire(timeout=POLL_SECONDS):
        waited = True
        yield size_of(part_of(destination)), transfer.total
    try:
        if waited and destination.is_file() and md5_of(destination) == md5:
            yield size_of(destination), size_of(destination)
        else:
            yield from _download(url, destination, md5, timeout, transfer)
    finally:
        transfer.lock.release()


def _transfer_for(destination: Path) -> _Transfer:
    return _transfers.setdefault(destination.absolute(), _Transfer())


def _download(url: str, destination: Path, md5: str, timeout: float, transfer: _Transfer) -> Iterator[tuple[int, int]]:
    part = part_of(destination)
    try:
        # An earlier attempt may have been interrupted between the last byte and the copy.
        if not (part.is_file() and md5_of(part) == md5):
            yield from _receive(url, part, timeout, transfer)
        matches = copy_if_matching(part, destination, md5)
        part.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableError(
            message("{file} could not be saved; check the disk space and write permission.", file=destination.name)
        ) from error
    if not matches:
        raise WrongContentError(
            message(
                "The download of {file} does not match the expected file, so it was not kept.", file=destination.name
            )
        )


def _receive(url: str, part: Path, timeout: float, transfer: _Transfer) -> Iterator[tuple[int, int]]:
    """Append the server's data to the part. Any OSError raised here comes from the disk."""
    connection_error = UnreachableError(message("The file could not be downloaded: the connection failed or was lost."))
    try:
        response, done = _request(url, size_of(part), timeout)
    except _BROKEN as error:
        raise connection_error from error
    with response, _open_part(part, done) as file:
        transfer.total = done + response.length if response.length else 0
        while True:
            try:
                chunk = response.read(CHUNK)
            except _BROKEN as error:
                raise connection_error from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            yield done, transfer.total
    if done < transfer.total:
        raise connection_error


def _request(url: str, offset: int, timeout: float) -> tuple[http.client.HTTPResponse, int]:
    """Request a file from an offset; returns the response and its actual offset, 0 without support for ranges."""
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        # The part is longer than the file, so it belongs to another one.
        if offset and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _request(url, 0, timeout)
        raise
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return response, 0
    if response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        return response, offset
    response.close()
    if not offset:
        raise http.client.HTTPException("a range that nobody asked for")
    return _request(url, 0, timeout)


def _open_part(part: Path, offset: int) -> IO[bytes]:
    """Open the part for writing at an offset, truncating it there."""
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    file = part.open("r+b")
    file.truncate(offset)
    file.seek(offset)
    return file
