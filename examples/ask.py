"""Ask a scoring server about real patients, and compare its answers with the model's own.

python ask.py http://127.0.0.1:5000 runs:/forest/model
"""

from __future__ import annotations

import json
import sys
import urllib.request

from sklearn.datasets import load_breast_cancer

import gitml.pyfunc


def main() -> None:
    server, uri = sys.argv[1:]
    rows = load_breast_cancer(as_frame=True).data[:5]
    body = json.dumps({"dataframe_split": rows.to_dict(orient="split")}).encode()
    request = urllib.request.Request(
        f"{server}/invocations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        served = json.load(answer)["predictions"]
    print("the server says:", served)
    here = gitml.pyfunc.load_model(uri).predict(rows).tolist()
    print("the model says: ", here)
    sys.exit(served != here)


if __name__ == "__main__":
    main()
