"""A support vector machine that reads digits: gamma and C are its arguments."""

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

import gitml

gamma, c = (float(word) for word in sys.argv[1:3])
images, digits = load_digits(n_class=5, return_X_y=True)
with gitml.start_run():
    scores = cross_val_score(SVC(gamma=gamma, C=c), images, digits, cv=3)
    gitml.log_metric("accuracy", scores.mean())
