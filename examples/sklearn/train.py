"""An elastic net on the diabetes data of scikit-learn: alpha and l1_ratio are its arguments."""

import sys

from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

import gitml

alpha, l1_ratio = (float(word) for word in sys.argv[1:3])
features, target = load_diabetes(return_X_y=True, as_frame=True)
parts = train_test_split(features, target, random_state=0)
train_features, test_features, train_target, test_target = parts

with gitml.start_run():
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=0)
    model.fit(train_features, train_target)
    predicted = model.predict(test_features)

    gitml.log_params({"alpha": alpha, "l1_ratio": l1_ratio})
    gitml.log_metric("rmse", root_mean_squared_error(test_target, predicted))
    gitml.log_metric("mae", mean_absolute_error(test_target, predicted))
    gitml.log_metric("r2", r2_score(test_target, predicted))
    gitml.sklearn.log_model(model, name="model", input_example=train_features[:3])

print(f"alpha={alpha} l1_ratio={l1_ratio}: r2 {r2_score(test_target, predicted):.3f}")
