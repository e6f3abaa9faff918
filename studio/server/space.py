"""Deploy the studio to a Hugging Face Space: python -m studio.server.space USER/NAME [--dry-run].

The Hub does not accept large or binary files through plain git, so files are uploaded instead of pushed. Only what a
Space needs is sent: sources, static files, bundled weights, and the README, which also configures the Space.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import disable_progress_bars, logging

ROOT = Path(__file__).resolve().parents[2]
# Weights are not listed here: their manifest names them.
SENT = (
    "app.py",
    "requirements.txt",
    "README.md",
    "LICENSE",
    "docs/*.md",
    "docs/*.jpg",
    "docs/*.webp",
    "engines/**/*.py",
    *(f"studio/**/*.{suffix}" for suffix in ("py", "html", "js", "css", "json", "jpg")),
    "weights/manifest.json",
    "weights/README.md",
)
# Stale files of an earlier upload are deleted under these patterns.
OURS = ("docs/*", "engines/*", "studio/*", "weights/*")


class PublishingError(Exception):
    """The Space could not be created or updated; the message is for the user."""


def files(root: Path = ROOT) -> dict[str, int]:
    """Map the path of each file that a Space needs to its size in bytes, in alphabetical order.

    Paths are relative to `root`, with slashes.

    Raises:
        PublishingError: bundled weights are missing.
    """
    found = {path for pattern in SENT for path in root.glob(pattern)}
    manifest = json.loads((root / "weights" / "manifest.json").read_text(encoding="utf-8"))
    weights = {root / "weights" / entry["file"] for entry in manifest["files"]}
    for path in sorted(weights):
        if not path.is_file():
            raise PublishingError(f"weights/{path.name} is missing; restore it before the studio is uploaded.")
    found |= weights
    paths = [path for path in found if path.is_file() and not path.name.startswith(".")]
    return dict(sorted((path.relative_to(root).as_posix(), path.stat().st_size) for path in paths))


def publish(space: str, root: Path = ROOT) -> str:
    """Create a Space if it does not exist, and upload its files.

    Args:
        space: USER/NAME or ORGANISATION/NAME.
        root: the project's folder.

    Returns:
        The URL of the Space.

    Raises:
        PublishingError: no login, or the Hub refuses or does not respond.
    """
    if not get_token():
        raise PublishingError("Log in first: run `hf auth login` with a write token, or set HF_TOKEN.")
    # Without Xet the upload is a single commit, so the Space is built once, from all files. The environment variable of
    # this name was already read when Gradio imported the library.
    constants.HF_HUB_DISABLE_XET = True
    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        # The project's folder also holds files that are not sent, so upload from a copy.
        for name in files(root):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, Path(folder) / name)
        try:
            url = api.create_repo(space, repo_type="space", space_sdk="gradio", exist_ok=True)
            api.upload_folder(
                repo_id=space,
                repo_type="space",
                folder_path=folder,
                delete_patterns=list(OURS),
                commit_message="Reverie",
            )
        except HfHubHTTPError as error:
            raise PublishingError(_refusal(error, space)) from error
        except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
            raise PublishingError(f"The Hub at {constants.ENDPOINT} does not respond: {error}.") from error
        except (ValueError, RuntimeError) as error:  # the Hub's complaint about a file or the README
            raise PublishingError(f"The upload failed: {' '.join(str(error.__cause__ or error).split())}") from error
    return str(url)


def _refusal(error: HfHubHTTPError, space: str) -> str:
    status = error.response.status_code
    if status == 401:
        return "The Hub rejected this token; log in again with `hf auth login`, or set another HF_TOKEN."
    if status == 403:
        return f"This token may not write to {space}; it needs write access to that name's repositories."
    return f"The Hub refused ({status}): {' '.join((error.server_message or str(error)).split())}"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m studio.server.space", description="Put Reverie on Hugging Face as a Space."
    )
    parser.add_argument("space", metavar="USER/NAME", help="the Space; created if it does not exist")
    parser.add_argument("--dry-run", action="store_true", help="list what would be uploaded, and upload nothing")
    options = parser.parse_args(arguments)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", options.space):
        parser.error(f"{options.space!r} is not a Space name; use USER/NAME, such as someone/reverie")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0 on success, 1 after printing a one-sentence error."""
    options = parse(arguments)
    try:
        sizes = files()
        if options.dry_run:
            for name, size in sizes.items():
                print(f"{size:12,}  {name}")
            print(f"{sum(sizes.values()):12,}  bytes in {len(sizes)} files, which would go to {options.space}")
            return 0
        logging.set_verbosity_error()  # suppresses advice to install the disabled Xet
        if not sys.stderr.isatty():
            disable_progress_bars()
        print(publish(options.space))
    except (PublishingError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
