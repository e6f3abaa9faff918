"""Run the process beside the studio: `python -P -m ray_link OPTIONS`, started by `studio.cluster.client`.

OPTIONS is a JSON object: socket (a file descriptor), address, cpus, gpus, project, package and version; see `connect`,
`WorkerPool` and `Project`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from multiprocessing.connection import Connection

from .connection import connect, disconnect
from .pool import WorkerPool
from .project import Project
from .server import RequestServer


def main() -> None:
    """Connect to the cluster and serve the studio until it closes the socket."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING)
    studio = Connection(options["socket"])
    address = connect(options["address"])

    async def serve() -> None:
        project = Project(options["project"], options["package"], options["version"])
        pool = WorkerPool(options["cpus"], options["gpus"], project)
        server = RequestServer(studio, pool, address)
        server.send(0, "joined", address)
        await server.serve()

    asyncio.run(serve())
    disconnect()


if __name__ == "__main__":
    main()
