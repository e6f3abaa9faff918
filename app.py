"""Serve Reverie: python app.py [--port 7860]."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from pathlib import Path

from engines.core.python_version import why_unsupported

# Before all that may not be installed is imported.
if why_unsupported():
    sys.exit(why_unsupported())

# Gradio would ask its makers' hosts for news, report its use, and count up all events after each of them, though nobody
# looks; TensorFlow would print notes for its developers.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from engines.imaging.images import MAX_PIXELS
from studio.api.mcp import ToolsError
from studio.cluster.client import Cluster, ClusterError, ClusterOptions
from studio.gallery.outputs_folder import OutputsError, check_writable
from studio.gallery.retention import Bounds, start_cleanup
from studio.page import build_page
from studio.server.listening import AddressError, is_loopback, is_name, listen
from studio.server.serve import serve
from studio.services import Studio


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; defaults are safe for a laptop."""
    on_space = "SPACE_ID" in os.environ
    parser = argparse.ArgumentParser(
        prog="python app.py", description="Serve Reverie, a generative deep-learning studio."
    )
    parser.add_argument(
        "--host", default="0.0.0.0" if on_space else "127.0.0.1", help="address to listen on [%(default)s]"
    )
    parser.add_argument("--port", type=int, default=7860, help="port to listen on [%(default)s]")
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name that a proxy in front calls this server by, besides this machine's own; repeatable",
    )
    parser.add_argument(
        "--root-path", metavar="/PATH", default="", help="path under which a proxy serves the page, if not at its root"
    )
    parser.add_argument("--share", action="store_true", help="also open a public link through Gradio's relay")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask visitors for this name and password")
    weights = os.environ.get("REVERIE_WEIGHTS")
    parser.add_argument(
        "--weights", type=Path, default=weights, help="folder of weights to look into first [$REVERIE_WEIGHTS]"
    )
    data = os.environ.get("REVERIE_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=data,
        help="the pictures that the faces were trained on, to look up the nearest: a folder or a zip [$REVERIE_DATA]",
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="folder for results [%(default)s]")
    day, gigabyte = (1.0, 2.0) if on_space else (0.0, 0.0)
    parser.add_argument(
        "--keep-days", type=float, default=day, help="delete results after so many days; 0 keeps them [%(default)s]"
    )
    parser.add_argument(
        "--keep-gigabytes",
        type=float,
        default=gigabyte,
        help="delete the oldest results beyond so much; 0 keeps them [%(default)s]",
    )
    parser.add_argument("--queue-size", type=int, default=20, help="how many runs may wait [%(default)s]")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help="larger pictures are shrunk to so many [%(default)s]"
    )
    parser.add_argument("--theme", choices=("system", "light", "dark"), default="system", help="colours [%(default)s]")
    parser.add_argument(
        "--mcp", action="store_true", help="also serve the endpoints as tools for language models, at /gradio_api/mcp/"
    )
    cluster = parser.add_argument_group("more machines, see the README")
    cluster.add_argument(
        "--ray", metavar="ADDRESS", help="have runs done on a Ray cluster: auto, or HOST:PORT of its head"
    )
    cluster.add_argument("--ray-cpus", type=float, default=2, help="cores of each run there [%(default)g]")
    cluster.add_argument(
        "--ray-gpus", type=float, default=1, help="GPUs of each run on machines that have some free [%(default)g]"
    )
    cluster.add_argument(
        "--ray-project",
        metavar="FOLDER",
        default="",
        help="where each machine has this version of Reverie; it is sent to them if this is not given",
    )
    options = parser.parse_args(arguments)
    if options.auth and ":" not in options.auth:
        parser.error("--auth takes USER:PASSWORD")
    if options.auth and options.mcp:
        parser.error("--mcp and --auth do not go together: a tool cannot log in")
    if options.share and options.allow_host:
        parser.error("--share and --allow-host do not go together: a public link is called by any name")
    if foreign := [name for name in options.allow_host if not is_name(name)]:
        parser.error(f"--allow-host takes a name without port or path, as studio.example.com, not {foreign[0]}")
    options.root_path = options.root_path.rstrip("/")
    if not re.fullmatch(r"(https?://[^\s/?#]+)?(/[^\s?#/]+)*", options.root_path):
        parser.error("--root-path takes a path as /studio, or a whole address as https://example.com/studio")
    if options.weights and not options.weights.is_dir():
        parser.error(f"--weights: there is no folder {options.weights}")
    if options.data and not options.data.exists():
        parser.error(f"--data: there is no file or folder {options.data}")
    if not 0 < options.port < 65536:
        parser.error("--port must be between 1 and 65535")
    if options.queue_size < 1 or options.max_pixels < 1000:
        parser.error("--queue-size must be at least 1 and --max-pixels at least 1000")
    if options.ray is not None and options.ray != "auto" and not re.fullmatch(r"[^\s:/]+:\d{1,5}", options.ray):
        parser.error("--ray takes auto, or the address of a cluster's head as HOST:PORT")
    if options.ray_cpus < 1 or options.ray_gpus < 0:
        parser.error("--ray-cpus must be at least 1 and --ray-gpus must not be negative")
    if options.keep_days < 0 or options.keep_gigabytes < 0:
        parser.error("--keep-days and --keep-gigabytes must not be negative")
    return options


def cluster_options(options: argparse.Namespace) -> ClusterOptions:
    """How the cluster is used, as the command line says."""
    return ClusterOptions(
        address=options.ray, cpus=options.ray_cpus, gpus=options.ray_gpus, project=options.ray_project
    )


def main(arguments: list[str] | None = None) -> None:
    """Build the page, serve it, and warm TensorFlow up meanwhile."""
    options = parse(arguments)
    try:
        run(options)
    except (OutputsError, AddressError, ClusterError, ToolsError) as error:
        sys.exit(f"python app.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def run(options: argparse.Namespace) -> None:
    """The same with a command line that was read.

    Raises:
        OutputsError, AddressError, ClusterError, ToolsError: it cannot be served; with why.
    """
    # The folder first: until it is this process's own, nothing is begun that another one would notice.
    studio = Studio(
        weights=(options.weights,) if options.weights else (),
        outputs=options.outputs,
        most_waiting=options.queue_size,
        max_pixels=options.max_pixels,
        data=options.data,
        shared=options.share or bool(options.allow_host or options.root_path) or not is_loopback(options.host),
        cluster=Cluster(cluster_options(options)) if options.ray else None,
    )
    try:
        listener = listen(options.host, options.port)
        # Gradio's own would be one for all users of a machine, and stay when a studio is killed.
        uploads = os.environ.setdefault("GRADIO_TEMP_DIR", str(studio.uploads))
        check_writable(Path(uploads), "GRADIO_TEMP_DIR")
        if studio.cluster is not None:
            studio.cluster.join()
        page = build_page(studio)
        bounds = Bounds(seconds=options.keep_days * 24 * 3600, size=int(options.keep_gigabytes * 1e9))
        start_cleanup(studio.outputs, bounds, uploads=Path(uploads))
        # What ends services and containers: as Ctrl-C does, so that results of what runs are written.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        serve(
            page,
            studio,
            host=options.host,
            port=options.port,
            listener=listener,
            allowed_hosts=options.allow_host,
            root_path=options.root_path,
            share=options.share,
            auth=options.auth,
            theme=options.theme,
            mcp=options.mcp,
            ready=lambda: threading.Thread(target=studio.warm_up, name="warm-up", daemon=True).start(),
        )
    finally:
        studio.close()


if __name__ == "__main__":
    main()
