"""Ask MLflow's own scoring server and gitml's the same: `compare_serving.py MLFLOW_PYTHON`.

Every request of serving_requests.yaml and of hostile/requests.yaml goes to both. What differs in
valid answers is printed, and is the exit code. `--write` keeps MLflow's answers in
serving_answers.json, which the tests compare with.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):
    sys.path[0] = str(ROOT)

from tests import serving  # noqa: E402 - after the path is set
from tests.test_serving_hostile import CASES as HOSTILE  # noqa: E402
from tests.test_serving_hostile import body_of  # noqa: E402

HERE = Path(__file__).parent
VALID = yaml.safe_load((HERE / "serving_requests.yaml").read_text(encoding="utf-8"))
ANSWERS = HERE / "serving_answers.json"


@contextlib.contextmanager
def mlflow(python: str, folder: Path) -> Iterator[int]:
    """MLflow's server of a model; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = ["uvicorn", "--port", str(port), "mlflow.pyfunc.scoring_server.app:app"]
    environment = {**os.environ, **more, "__pyfunc_model_path__": str(folder)}
    process = subprocess.Popen(
        [python, "-m", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def asked(port: int, case: dict[str, Any]) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = dict(case.get("headers", {}))
    if (kind := case.get("type", "application/json")) is not None:
        headers["Content-Type"] = kind
    path, method = case.get("path", "/invocations"), case.get("method", "POST")
    try:
        connection.request(method, path, body=body_of(case), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError as error:
        return 0, str(error).encode()
    finally:
        connection.close()


def main() -> int:
    """Compare; how many valid answers differ."""
    python, *options = sys.argv[1:]
    theirs: dict[str, Any] = {}
    differ, statuses = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name in serving.KINDS:
            cases = [case for case in VALID + HOSTILE if case.get("model", "numbers") == name]
            if not cases:
                continue
            model = serving.save(name, Path(folder, name))
            with mlflow(python, model) as port, serving.served(model) as ours:
                for case in cases:
                    status, body = asked(port, case)
                    own = asked(ours.port, case)
                    if case in VALID:
                        differ += differs(case, (status, body), own)
                        if status == 200:
                            theirs[case["name"]] = json.loads(body)
                    else:
                        statuses[f"MLflow {status}, gitml {own[0]}"] += 1
                        if status == 200 or status >= 500 or not status:
                            print(f"hostile: {case['name']}: MLflow {status}, gitml {own[0]}")
    print(*(f"{number:4} {what}" for what, number in statuses.most_common()), sep="\n")
    if "--write" in options:
        lines = (f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in theirs.items())
        ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{differ} of {len(VALID)} valid answers differ")
    return differ


def differs(case: dict[str, Any], theirs: tuple[int, bytes], ours: tuple[int, bytes]) -> bool:
    """Whether two answers to a valid request are not the same; then they are printed."""
    same = theirs[0] == ours[0] == 200 and repr(json.loads(theirs[1])) == repr(json.loads(ours[1]))
    if same or "differs" in case:
        return False
    print(
        f"{case['name']}:\n  MLflow {theirs[0]} {theirs[1][-600:]!r}\n  gitml {ours[0]} {ours[1]!r}"
    )
    return True


if __name__ == "__main__":
    sys.exit(min(main(), 100))
