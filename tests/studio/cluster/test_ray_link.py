"""The process that talks to Ray: what it imports, and whether its workers need more than the standard library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.jobs.version import version
from studio.cluster.lease import WorkerLease
from studio.cluster.ray_process import IMPORT_PATHS, LostError, RayProcess
from tests.layout import ROOT, imports_of

PACKAGE = "studio.cluster.ray_link"
FILES = sorted((ROOT / "studio" / "cluster" / "ray_link").rglob("*.py"))


def run_python(code: str, folder: Path, *arguments: str, paths: tuple[Path, ...] = ()) -> str:
    """What a program prints, in a folder outside the project and with only these import paths."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    program = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_of_it_imports_the_studio(path):
    def is_own(name: str) -> bool:
        return name == PACKAGE or name.startswith(f"{PACKAGE}.")

    imported = {name for name in imports_of(path) if name.partition(".")[0] in ("studio", "gradio")}
    assert {name for name in imported if not is_own(name)} == set()


def test_it_runs_without_the_studio_and_gradio(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    code = (
        "import json, sys, ray_link.__main__\n"
        "print(json.dumps([name for name in sys.modules if name.partition('.')[0] in ('studio', 'gradio')]))"
    )
    assert json.loads(run_python(code, tmp_path, paths=IMPORT_PATHS)) == []


def test_its_worker_class_is_loaded_where_the_package_cannot_be_imported(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    file = tmp_path / "worker.pickle"
    save = (
        "import sys, ray, ray_link.pool\n"
        "from pathlib import Path\n"
        "Path(sys.argv[1]).write_bytes(ray.cloudpickle.dumps(ray_link.pool.worker.RayWorker))"
    )
    run_python(save, tmp_path, str(file), paths=IMPORT_PATHS)
    load = (
        "import importlib.util, pickle, sys\n"
        "from pathlib import Path\n"
        "for name in ('engines', 'ray_link', 'studio'):\n"
        "    assert importlib.util.find_spec(name) is None, name\n"
        "worker = pickle.loads(Path(sys.argv[1]).read_bytes())()\n"
        "assert worker.install_project(sys.argv[2], '')\n"
        "print(worker.identify()[0])"
    )
    assert run_python(load, tmp_path, str(file), str(ROOT)).strip() == version()


def test_a_lease_ends_with_its_process_and_says_why_it_ended(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    process = RayProcess({"address": "127.0.0.1:9"}, tmp_path)
    lease = WorkerLease(process, 1, "machine 1", pid=0)
    assert list(process.messages()) == []
    assert "No Ray cluster found at 127.0.0.1:9" in process.close()
    with pytest.raises(LostError):
        lease.call("send", None)
    lease.release()
