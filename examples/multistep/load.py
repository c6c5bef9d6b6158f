"""The first step: houses with their prices, made up here, as a CSV file."""

import csv
import io
import random
import sys

import gitml

chance = random.Random(0)
out = io.StringIO()
writer = csv.writer(out)
writer.writerow(["rooms", "area", "age", "price"])
for _ in range(int(sys.argv[1])):
    rooms, age = chance.randint(1, 8), chance.randint(0, 100)
    area = round(20 * rooms + chance.gauss(0, 10), 1)
    price = round(3000 * area - 500 * age + chance.gauss(0, 20_000))
    writer.writerow([rooms, area, age, price if chance.random() > 0.05 else ""])
gitml.log_text(out.getvalue(), "raw.csv")
