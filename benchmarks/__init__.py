"""Measurements of gitml, beside MLflow's on the same machine in the same run.

`row` and `report` say what a result is and how it is shown, `bench` makes repositories and runs
programs, `peers` is the other side. `workloads` is what runs on both sides, `internals` what only
gitml has. The other modules are the groups of measurements, listed in `groups`.
"""
