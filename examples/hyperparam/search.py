"""Random search: trains with chance parameters, some at once, and tells which were the best.

Every training is a run of the entry point `train`, below this one.
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor

import gitml

tries, at_once, seed = (int(word) for word in sys.argv[1:4])
chance = random.Random(seed)


def train(parameters):
    """One training; its parameters and its accuracy."""
    done = gitml.projects.run(".", "train", parameters=parameters, synchronous=False)
    done.wait()
    return done.run_id, gitml.get_run(done.run_id).data.metrics.get("accuracy", 0.0)


with gitml.start_run():
    wanted = [
        {"gamma": 10 ** chance.uniform(-5, -1), "c": 10 ** chance.uniform(-1, 2)}
        for _ in range(tries)
    ]
    with ThreadPoolExecutor(at_once) as pool:
        results = list(pool.map(train, wanted))
    best_run, best = max(results, key=lambda result: result[1])
    gitml.log_metric("accuracy", best)
    gitml.set_tag("best_run", best_run)
    print(f"the best of {tries} is run {best_run[-8:]}: accuracy {best:.3f}")
