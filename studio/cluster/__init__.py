"""Run jobs on a Ray cluster.

With `python app.py --ray ADDRESS` a run's frames are those of a `RemoteJob`: a worker of the cluster makes each one
when it is asked for it, so stop, steering, recipes and the page do not know where that is. On the worker
`engines/jobs/worker.py` does the work, and knows nothing of Ray. Each frame comes with the run's history, so that a
run that loses its worker continues on another: from the last frame that has a `position`, from its checkpoint, or
from the beginning without the frames that were seen. While there is no cluster, a `RemoteJob` is a `JobExecution` in
this process. Where steps are quick, the worker makes the next frame while one travels: settings then take effect a
step later, and the history says at which. Parts of batches and sweeps are prefetched on idle workers.

Ray kills the process that is connected to a cluster when the cluster goes away. So the studio never is: `ray_link/`
runs as a process of its own that holds nothing that cannot be rebuilt. `client.py` starts it, asks it for workers,
and starts another when it ends. It runs as the top-level package `ray_link`, with relative imports and without the
studio, which would import Gradio; Ray sends its worker class by value, as the machines of a cluster have neither.
Nothing else imports Ray, and nothing needs it unless `--ray` is given. `tests/cluster/` runs all of this on a real
cluster on one machine.
"""
