"""Trees on the iris data of scikit-learn; autologging has the params, metrics and the model."""

import argparse

import xgboost
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

import gitml

parser = argparse.ArgumentParser()
for name in ("learning-rate", "colsample-bytree", "subsample"):
    parser.add_argument(f"--{name}", type=float, default=1.0)
parser.add_argument("--rounds", type=int, default=20)
args = parser.parse_args()

features, target = load_iris(return_X_y=True, as_frame=True)
parts = train_test_split(features, target, test_size=0.3, random_state=0)
train_features, test_features, train_target, test_target = parts
training = xgboost.DMatrix(train_features, label=train_target)
test = xgboost.DMatrix(test_features, label=test_target)

gitml.xgboost.autolog()
with gitml.start_run():
    model = xgboost.train(
        {
            "objective": "multi:softmax",
            "num_class": 3,
            "learning_rate": args.learning_rate,
            "colsample_bytree": args.colsample_bytree,
            "subsample": args.subsample,
            "seed": 0,
        },
        training,
        num_boost_round=args.rounds,
        evals=[(training, "train")],
        verbose_eval=False,
    )
    gitml.log_metric("accuracy", accuracy_score(test_target, model.predict(test)))
