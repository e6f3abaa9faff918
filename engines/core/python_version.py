"""Supported Python versions: those that TensorFlow is published for.

It imports nothing and is read by any Python from 3.7, so that a version that does not fit can be told so in a sentence:
`make` runs this file, the command lines ask it before they import what may not be installed.
"""

import sys

OLDEST, NEWEST = (3, 11), (3, 13)


def unfit(version=sys.version_info):
    """Why this version of Python will not do, in a sentence; empty where it will.

    Args:
        version: (major, minor, ...).
    """
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    oldest, newest, this = (".".join(str(part) for part in one[:2]) for one in (OLDEST, NEWEST, version))
    return f"Reverie needs Python {oldest} to {newest}, which TensorFlow is published for; this is Python {this}."


if __name__ == "__main__":
    sys.exit(unfit() or 0)
