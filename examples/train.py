"""Train a classifier of breast tumours and record everything about it.

The data set (Wisconsin diagnostic, 569 patients) ships with scikit-learn. Try:

    python train.py --model forest --trees 200
    python train.py --model boosting --learning-rate 0.1
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import RocCurveDisplay, accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

import gitml
from gitml.models import infer_signature


def main() -> None:
    args = arguments()
    frame = load_breast_cancer(as_frame=True).frame
    train, test = train_test_split(frame, random_state=args.seed, stratify=frame["target"])
    gitml.set_experiment("tumours")
    with gitml.start_run(run_name=args.name or args.model, tags={"model": args.model}):
        gitml.log_params(vars(args))
        gitml.log_input(frame, context="training")
        model = fit(args, train.drop(columns="target"), train["target"])
        evaluate(args, model, test.drop(columns="target"), test["target"])
        keep(model, test.drop(columns="target")[:3])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["forest", "boosting"], default="forest")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--name", default="")
    return parser.parse_args()


def fit(args, features, target):
    if args.model == "forest":
        model = RandomForestClassifier(n_estimators=args.trees, random_state=args.seed)
    else:
        model = GradientBoostingClassifier(
            n_estimators=args.trees,
            max_depth=args.depth,
            learning_rate=args.learning_rate,
            random_state=args.seed,
        )
    return model.fit(features, target)


def evaluate(args, model, features, target) -> None:
    if args.model == "boosting":
        rows = range(len(target))
        for step, scores in enumerate(model.staged_predict_proba(features), start=1):
            loss = -numpy.log(scores[rows, target]).mean()
            gitml.log_metric("test_loss", loss, step=step)
    scores = model.predict_proba(features)[:, 1]
    gitml.log_metrics(
        {
            "accuracy": accuracy_score(target, scores > 0.5),
            "auc": roc_auc_score(target, scores),
        }
    )
    figure, axes = plt.subplots(figsize=(4, 4))
    RocCurveDisplay.from_predictions(target, scores, ax=axes, name=args.model)
    gitml.log_figure(figure, "roc.png")


def keep(model, some) -> None:
    """Log the model, with what it takes and gives; it is large, so it goes to DVC."""
    signature = infer_signature(some, model.predict(some))
    gitml.sklearn.log_model(model, name="model", signature=signature, input_example=some)


if __name__ == "__main__":
    main()
