"""The second step: rows without a price go."""

import sys

import pandas

import gitml

raw = pandas.read_csv(sys.argv[1])
table = raw.dropna()
gitml.log_metric("rows_dropped", len(raw) - len(table))
gitml.log_text(table.to_csv(index=False), "table.csv")
