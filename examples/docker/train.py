"""Fits a line by gradient descent, in the image that the project names."""

import sys

import numpy as np

import gitml

rate, epochs = float(sys.argv[1]), int(sys.argv[2])
random = np.random.default_rng(0)
x = random.uniform(-1, 1, 200)
y = 3 * x + 1 + random.normal(0, 0.1, 200)

with gitml.start_run():
    slope = intercept = 0.0
    for epoch in range(epochs):
        error = slope * x + intercept - y
        slope -= rate * 2 * float(np.mean(error * x))
        intercept -= rate * 2 * float(np.mean(error))
        gitml.log_metric("loss", float(np.mean(error**2)), step=epoch)
    gitml.log_metrics({"slope": slope, "intercept": intercept})
    np.savetxt("line.txt", [slope, intercept])  # in the container, and gone with it
    gitml.log_artifact("line.txt")

print(f"y = {slope:.2f} x + {intercept:.2f}")
