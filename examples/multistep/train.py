"""The third step: a model of the prices."""

import sys

import pandas
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

import gitml

table = pandas.read_csv(sys.argv[1])
features, price = table.drop(columns="price"), table["price"]
train, test, train_price, test_price = train_test_split(features, price, random_state=0)

with gitml.start_run():
    model = Ridge(alpha=float(sys.argv[2])).fit(train, train_price)
    gitml.log_metric("r2", model.score(test, test_price))
    gitml.sklearn.log_model(model, name="model", input_example=train[:3])
