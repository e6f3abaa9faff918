"""Run jobs on a Ray cluster.

With `python app.py --ray ADDRESS` a run's frames come from a `RemoteJob`: a worker of the cluster computes each on
request, so stop, steering, recipes and the page do not depend on where a run is computed. On the worker,
`engines/jobs/worker.py` does the work, independent of Ray. Each frame comes with the run's history, so that a run that
loses its worker resumes on another: from the last frame with a `position`, from its checkpoint, or from the beginning,
skipping the frames already shown. While no cluster is connected, a `RemoteJob` runs a `JobExecution` in this process.
If steps are short, the worker computes the next frame while the last is being transferred: settings then take effect a
step later, and the history records at which step. Parts of batches and sweeps are prefetched on idle workers.

Ray kills the process that is connected to a cluster when the connection is lost. So the studio never connects itself:
`ray_link/` runs as a separate process without state that cannot be rebuilt. `client.py` starts it, requests workers
from it, and restarts it when it ends. It runs as the top-level package `ray_link`, with relative imports and without
the studio, which would import Gradio; Ray sends its worker class by value, as the machines of a cluster have neither
package. Nothing else imports Ray, and it is only needed with `--ray`. `tests/cluster/` tests all of this on a real
cluster on one machine.
"""
