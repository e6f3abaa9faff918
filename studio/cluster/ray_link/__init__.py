"""Communicate with a Ray cluster on behalf of the studio, in a separate process.

Ray kills the process that is connected to a cluster when the connection is lost. So this process connects instead of
the studio: it has no state that cannot be rebuilt, and `studio.cluster.client` restarts it when it exits.

The package never imports the studio, which would import Gradio. It is run as the top-level package `ray_link`, with the
repository and `studio/cluster` on PYTHONPATH, and imports its own modules relatively.

Requests and answers are pickled and sent over a socket that only the studio and this process have. Both are trusted,
and so are the machines of the cluster; see docs/deploy.md.
"""

from __future__ import annotations

import os

# Read when Ray is imported, which the modules of this package do.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
