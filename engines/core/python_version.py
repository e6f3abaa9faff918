"""Supported Python versions: those that TensorFlow is published for.

This file imports only `sys` and runs on Python 3.7 or later, so that an unsupported version gets a clear message.
`make` runs it, and the command lines call it before they import packages that may be missing.
"""

import sys

OLDEST, NEWEST = (3, 11), (3, 13)


def why_unsupported(version=sys.version_info):
    """Why this version of Python is unsupported, in a sentence; "" if it is supported.

    Args:
        version: (major, minor, ...).
    """
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    oldest, newest, this = (".".join(str(part) for part in numbers[:2]) for numbers in (OLDEST, NEWEST, version))
    return f"Reverie needs Python {oldest} to {newest}, which TensorFlow is published for; this is Python {this}."


if __name__ == "__main__":
    sys.exit(why_unsupported() or 0)
