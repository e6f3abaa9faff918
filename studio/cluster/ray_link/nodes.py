"""List the machines of the cluster and their free resources."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import ray


@dataclass
class Node:
    """A machine of the cluster, as last reported.

    Attributes:
        id: Ray's node id.
        title: its address, with a number where several machines share one.
        cpus, gpus: numbers of cores and GPUs that Ray may use.
        free_cpus, free_gpus: numbers of unused cores and GPUs.
        seen: time of the query, in `time.monotonic` seconds.
    """

    id: str
    title: str
    cpus: float
    gpus: float
    free_cpus: float
    free_gpus: float
    seen: float


def live_nodes(known: dict[str, Node]) -> dict[str, Node]:
    """Query Ray for the machines that are alive, by id; blocks.

    Args:
        known: the machines of the last call, which keep their titles.
    """
    from ray._private.state import available_resources_per_node

    seen, free = time.monotonic(), available_resources_per_node()
    alive = [node for node in ray.nodes() if node["Alive"]]
    titles = {id: node.title for id, node in known.items() if id in {one["NodeID"] for one in alive}}
    nodes: dict[str, Node] = {}
    for node in sorted(alive, key=lambda one: (one["NodeManagerAddress"], one["NodeManagerPort"])):
        id, address = node["NodeID"], node["NodeManagerAddress"]
        candidates = itertools.chain([address], (f"{address} ({number})" for number in itertools.count(2)))
        if id not in titles:
            titles[id] = next(name for name in candidates if name not in titles.values())
        total, available = node["Resources"], free.get(id, {})
        nodes[id] = Node(
            id=id,
            title=titles[id],
            cpus=total.get("CPU", 0.0),
            gpus=total.get("GPU", 0.0),
            free_cpus=available.get("CPU", 0.0),
            free_gpus=available.get("GPU", 0.0),
            seen=seen,
        )
    return nodes
