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

# Before importing packages that may be missing.
if why_unsupported():
    sys.exit(why_unsupported())

# Disable Gradio's update check, telemetry and event counts, and TensorFlow's developer messages.
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
    """Parse the command line; the defaults are safe on a laptop."""
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
        help="a further host name under which a proxy reaches this server; repeatable",
    )
    parser.add_argument(
        "--root-path", metavar="/PATH", default="", help="path under which a proxy serves the page, if not the root"
    )
    parser.add_argument("--share", action="store_true", help="also open a public link through Gradio's relay")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask visitors for this name and password")
    weights = os.environ.get("REVERIE_WEIGHTS")
    parser.add_argument(
        "--weights", type=Path, default=weights, help="folder to search for weights first [$REVERIE_WEIGHTS]"
    )
    data = os.environ.get("REVERIE_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=data,
        help="folder or zip of the images that the faces were trained on, to find the nearest ones [$REVERIE_DATA]",
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="folder for results [%(default)s]")
    day, gigabyte = (1.0, 2.0) if on_space else (0.0, 0.0)
    parser.add_argument(
        "--keep-days", type=float, default=day, help="delete results after this many days; 0 keeps them [%(default)s]"
    )
    parser.add_argument(
        "--keep-gigabytes",
        type=float,
        default=gigabyte,
        help="delete the oldest results beyond this total size; 0 keeps them [%(default)s]",
    )
    parser.add_argument("--queue-size", type=int, default=20, help="maximum number of waiting runs [%(default)s]")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help="larger images are shrunk to this many pixels [%(default)s]"
    )
    parser.add_argument(
        "--theme", choices=("system", "light", "dark"), default="system", help="colour theme [%(default)s]"
    )
    parser.add_argument(
        "--mcp", action="store_true", help="also serve the endpoints as tools for language models, at /gradio_api/mcp/"
    )
    cluster = parser.add_argument_group("more machines (see docs/deploy.md)")
    cluster.add_argument("--ray", metavar="ADDRESS", help="run on a Ray cluster: auto, or HOST:PORT of its head")
    cluster.add_argument("--ray-cpus", type=float, default=2, help="cores per run [%(default)g]")
    cluster.add_argument(
        "--ray-gpus", type=float, default=1, help="GPUs per run, on machines with free GPUs [%(default)g]"
    )
    cluster.add_argument(
        "--ray-project",
        metavar="FOLDER",
        default="",
        help="folder with this version of Reverie on every machine; if not given, the code is sent",
    )
    options = parser.parse_args(arguments)
    if options.auth and ":" not in options.auth:
        parser.error("--auth must be USER:PASSWORD")
    if options.auth and options.mcp:
        parser.error("--mcp and --auth cannot be combined: a tool cannot log in")
    if options.share and options.allow_host:
        parser.error("--share and --allow-host cannot be combined: the public link has a name of its own")
    if foreign := [name for name in options.allow_host if not is_name(name)]:
        parser.error(f"--allow-host must be a name without port or path, such as studio.example.com, not {foreign[0]}")
    options.root_path = options.root_path.rstrip("/")
    if not re.fullmatch(r"(https?://[^\s/?#]+)?(/[^\s?#/]+)*", options.root_path):
        parser.error("--root-path must be a path such as /studio, or a full URL such as https://example.com/studio")
    if options.weights and not options.weights.is_dir():
        parser.error(f"--weights: folder not found: {options.weights}")
    if options.data and not options.data.exists():
        parser.error(f"--data: file or folder not found: {options.data}")
    if not 0 < options.port < 65536:
        parser.error("--port must be between 1 and 65535")
    if options.queue_size < 1 or options.max_pixels < 1000:
        parser.error("--queue-size must be at least 1 and --max-pixels at least 1000")
    if options.ray is not None and options.ray != "auto" and not re.fullmatch(r"[^\s:/]+:\d{1,5}", options.ray):
        parser.error("--ray must be auto or HOST:PORT of a cluster's head")
    if options.ray_cpus < 1 or options.ray_gpus < 0:
        parser.error("--ray-cpus must be at least 1 and --ray-gpus must not be negative")
    if options.keep_days < 0 or options.keep_gigabytes < 0:
        parser.error("--keep-days and --keep-gigabytes must not be negative")
    return options


def cluster_options(options: argparse.Namespace) -> ClusterOptions:
    """Return the cluster options of the command line."""
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
    """Serve with parsed options.

    Raises:
        OutputsError, AddressError, ClusterError, ToolsError: it cannot be served; with why.
    """
    # Lock the folder first, so that a second Reverie changes nothing.
    studio = Studio(
        weights=(options.weights,) if options.weights else (),
        outputs=options.outputs,
        max_waiting=options.queue_size,
        max_pixels=options.max_pixels,
        data=options.data,
        shared=options.share or bool(options.allow_host or options.root_path) or not is_loopback(options.host),
        cluster=Cluster(cluster_options(options)) if options.ray else None,
    )
    try:
        listener = listen(options.host, options.port)
        # Gradio's default is shared by all users and survives a killed studio.
        uploads = os.environ.setdefault("GRADIO_TEMP_DIR", str(studio.uploads))
        check_writable(Path(uploads), "GRADIO_TEMP_DIR")
        if studio.cluster is not None:
            studio.cluster.join()
        page = build_page(studio)
        bounds = Bounds(seconds=options.keep_days * 24 * 3600, size=int(options.keep_gigabytes * 1e9))
        start_cleanup(studio.outputs, bounds, uploads=Path(uploads))
        # Services and containers are ended by SIGTERM; treat it like Ctrl-C, so that results are saved.
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
