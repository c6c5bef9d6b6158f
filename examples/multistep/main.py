"""The workflow: each step is a run of its own, below this one, and hands on what it logged.

A step that was run before, on the same code and with the same parameters, is not run again; but
all of them are where the workflow itself is run again, to see whether the same comes of it.
"""

import sys

import gitml

ENTRY_POINT = "mlflow.project.entryPoint"
rows, alpha = int(sys.argv[1]), float(sys.argv[2])


def step(entry_point, **parameters):
    """The id of a run of the entry point with these parameters, of an earlier one if there is."""
    known = done_before(entry_point, parameters)
    if known is not None:
        print(f"{entry_point}: as in run {known[-8:]}")
        return known
    print(f"{entry_point}: {parameters}")
    return gitml.projects.run(".", entry_point, parameters=parameters, run_name=entry_point).run_id


def done_before(entry_point, parameters):
    """The newest finished run of the same step, if its code is that of this run."""
    if "gitml.reproduces" in here.data.tags:
        return None
    found = gitml.search_runs(
        filter_string=f"attributes.status = 'FINISHED' AND tags.`{ENTRY_POINT}` = '{entry_point}'",
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    wanted = {name: str(value) for name, value in parameters.items()}
    for run in found:
        is_same = all(run.data.params.get(name) == value for name, value in wanted.items())
        if is_same and run.record.code.tree == here.record.code.tree:
            return run.info.run_id
    return None


with gitml.start_run() as here:
    raw = step("load", rows=rows)
    table = step("prepare", raw=f"runs:/{raw}/raw.csv")
    trained = gitml.get_run(step("train", table=f"runs:/{table}/table.csv", alpha=alpha))
    gitml.log_metric("r2", trained.data.metrics["r2"])
    gitml.set_tag("model", f"runs:/{trained.info.run_id}/model")
