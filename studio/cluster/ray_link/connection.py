"""Connect this process to a Ray cluster, or exit with a message that says why not."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from typing import Any, NoReturn

import ray

from .messages import message

CONNECT_SECONDS = 3.0
# Tells `studio.cluster.ray_process` that the last line of stderr is a message for the user, as JSON.
EXIT_CODE = 3


def connect(address: str) -> str:
    """Connect to a cluster; exits the process if that fails.

    Args:
        address: HOST:PORT of the head, or "auto" for the cluster that this machine belongs to.

    Returns:
        HOST:PORT of the head.
    """
    address = check_reachable(address)
    try:
        ray.init(address=address, namespace="reverie", log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # noqa: BLE001 - Ray raises all kinds of exceptions
        why = str(error).strip().splitlines()[0][:300]
        exit_with(message("Cannot connect to Ray at {address}: {why}", address=address, why=why))
    return address


def disconnect() -> None:
    """Disconnect from the cluster, which ends its workers."""
    ray.shutdown()


def check_reachable(address: str) -> str:
    """Resolve "auto" and check that the head accepts connections; exits the process if not.

    `ray.init` would retry for a minute.
    """
    if address == "auto":
        found = os.environ.get("RAY_ADDRESS") or ray._private.services.canonicalize_bootstrap_address("auto")
        address = found or ""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        exit_with(message("No Ray cluster found on this machine; start one with ray start."))
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError:
        exit_with(message("No Ray cluster found at {address}.", address=address))
    return address


def exit_with(sentence: dict[str, Any]) -> NoReturn:
    """Print a message and exit at once, without waiting for Ray's threads."""
    print(json.dumps(sentence), file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)
