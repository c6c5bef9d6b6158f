"""The whole story in a temporary folder: two people, one git repository, no server.

Ann trains models and pushes her runs; Ben clones the repository elsewhere and finds them, with
gitml, with plain git and with stock DVC. Then he runs a project from its URL, and runs of it and of
hers once more. Every command is shown before it runs.

    python examples/demo.py [--keep]
"""

from __future__ import annotations

import collections
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).resolve().parent
TOOLS = Path(sys.executable).parent
Started = subprocess.Popen[bytes]


def main() -> None:
    keep = "--keep" in sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="gitml-demo-"))
    os.environ.update(environment(folder))
    started = time.monotonic()
    try:
        story(folder)
    finally:
        if keep:
            say(f"Everything is still in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            say("The folder is gone; with --keep it stays, for you to look around.")
    say(
        f"Done in {time.monotonic() - started:.0f} seconds. Nothing was installed, nothing runs on."
    )


def environment(folder: Path) -> dict[str, str]:
    """Commands find gitml and dvc; the settings of whoever runs the demo are left alone."""
    people = {"NAME": "Ann", "EMAIL": "ann@example.com"}
    config = folder / "gitconfig"
    config.write_text("[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n")
    return {
        "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONDONTWRITEBYTECODE": "",  # else each command compiles its environment's packages
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),  # environments go with the folder
        "UV_CACHE_DIR": uv_cache(),  # packages that were downloaded stay, as those of pip
        **{
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in people.items()
        },
    }


def uv_cache() -> str:
    """Where uv keeps what it downloads for whoever runs the demo."""
    asked = subprocess.run(
        [TOOLS / "uv", "cache", "dir"], capture_output=True, text=True, check=True
    )
    return asked.stdout.strip()


def story(folder: Path) -> None:
    origin, ann, ben = folder / "origin.git", folder / "ann", folder / "ben"
    begin(folder, origin, ann)
    train(ann)
    look(ann)
    use(ann, tune(ann))
    share(ann)
    find_again(folder, origin, ben)
    reproduce(ben, project(folder, ben))
    release(origin, ann, ben)


def begin(folder: Path, origin: Path, ann: Path) -> None:
    chapter("Ann has a git repository with a training script, and a place for large files")
    run("git init --quiet --bare --initial-branch main origin.git", folder)
    run("git init --quiet --initial-branch main ann", folder)
    shutil.copy(HERE / "train.py", ann)
    say("Her script, train.py, is the one in gitml's folder examples.")
    run(f"git remote add origin {shlex.quote(str(origin))}", ann)
    say("One command makes it ready for runs:")
    run(f"gitml init --remote {shlex.quote(str(folder / 'storage'))}", ann)
    run("git add --all", ann)
    run("git commit --quiet --message 'Train a classifier of tumours'", ann)
    run("git push --quiet --set-upstream origin main", ann)


def train(ann: Path) -> None:
    chapter("She trains. The script only says `import gitml`; every run becomes a commit")
    say("Two at once, in two terminals: runs don't wait for one another.")
    slow = "python train.py --model boosting --trees 60 --learning-rate 0.05 --name slow"
    together([start("python train.py --model forest --trees 200", ann), start(slow, ann)])
    say(
        "She changes default=7 to default=11 in the script and does not commit it. The run holds"
        " the code as it was on disk:"
    )
    script = ann / "train.py"
    script.write_text(script.read_text().replace("default=7", "default=11"))
    run("python train.py --model boosting --trees 120 --learning-rate 0.2 --name fast", ann)
    run("git status --short", ann)
    say("Her branch and her files were not touched.")


def look(ann: Path) -> None:
    chapter("Which one is best?")
    run("gitml runs list --metric test_loss", ann)
    wanted = "metrics.auc > 0.9 and params.trees > 100"
    run(f"gitml runs list --filter '{wanted}' --order-by 'metrics.auc DESC'", ann)
    run("gitml runs show fast", ann)
    say("What did she change between two runs? Params, metrics, data, packages and code:")
    run("gitml runs diff slow fast", ann)
    run("gitml runs diff slow fast --code", ann)


def tune(ann: Path) -> str:
    chapter("She searches for better parameters: two runs at a time, points drawn by Optuna")
    searched = "-P trees=40,80 -P depth=2,3 -P learning-rate=0.05..0.4:log"
    options = "--metric auc --goal maximize --max-runs 4 --parallel 2 --experiment-name tumours"
    sweep = f"gitml sweep . -e train.py --allow-extra -P model=boosting {searched} {options}"
    run(f"{sweep} --run-name search", ann)
    return sweep


def use(ann: Path, sweep: str) -> None:
    chapter("The model of a run is ready to be used")
    say("It answers over HTTP, by MLflow's protocol. In another terminal:")
    command = "gitml models serve --model-uri runs:/forest/model --port 0"
    print(f"\n{ann.name}$ {command}", flush=True)
    with subprocess.Popen(shlex.split(command), cwd=ann, stdout=subprocess.PIPE) as server:
        run("gitml models inspect runs:/forest/model", ann)
        say("While it is loaded, her search again: what anybody has recorded need not run again:")
        run(f"{sweep} --reuse", ann)
        say("The other terminal says:")
        assert server.stdout is not None
        line = server.stdout.readline().decode()
        print(line, end="")
        url = line.split()[-1] if line else sys.exit("the server did not start")
        shutil.copy(HERE / "ask.py", ann)
        say("Real patients, asked about over HTTP and in this process, give the same answers:")
        run(f"python ask.py {url} runs:/forest/model", ann)
        server.terminate()


def share(ann: Path) -> None:
    chapter("She shares them: large files go to the DVC remote, runs to origin, by plain git")
    run("gitml push", ann)
    run("git ls-remote origin", ann)


def find_again(folder: Path, origin: Path, ben: Path) -> None:
    chapter("Ben clones the repository on another machine")
    run("git clone --quiet origin.git ben", folder)
    run("gitml pull", ben)
    run("gitml runs list", ben)
    run("gitml runs artifacts forest", ben)
    run("gitml runs artifacts forest model --download fetched", ben)
    say("He needs no gitml for that. To git, the ledger is a branch and a run is a commit:")
    run("git log --first-parent --oneline origin/gitml/runs", ben)
    say("`gitml runs show RUN` names a run's commit.")
    forest, slow, fast = (commit_of(name, ben) for name in ("forest", "slow", "fast"))
    run(f"git diff --stat {slow} {fast}", ben)
    run(f"git diff {slow} {fast} -- train.py", ben)
    say("And to stock DVC, the model is an artifact of that commit, straight from origin:")
    model = ".gitml/run/artifacts/model"
    run(f"dvc get --quiet {shlex.quote(str(origin))} {model} --rev {forest} -o dvc", ben)
    one, other = (ben / folder / "model.pkl" for folder in ("dvc", "fetched/model"))
    if one.read_bytes() != other.read_bytes():
        sys.exit("the model that DVC fetched is not the one that gitml fetched")
    say("Both fetched the same bytes.")


def project(folder: Path, ben: Path) -> Started:
    chapter("A project in another repository runs from its URL, in an environment of its own")
    models = folder / "models"
    shutil.copytree(HERE / "sklearn", models / "diabetes")
    run("git init --quiet models", folder)
    run("git add --all", models)
    run("git commit --quiet --message 'Predict diabetes'", models)
    run("git tag v1", models)
    say(
        "Ben needs no clone of it. The code goes into a work tree that is gone afterwards; uv"
        " builds what python_env.yaml asks for, once, which takes a while: in another terminal."
    )
    url = f"{models.as_uri()}#diabetes"
    return start(f"gitml run {url} --version v1 -P alpha=0.02 --run-name diabetes --yes", ben)


def reproduce(ben: Path, project: Started) -> None:
    chapter("Any run can be run again, from its code, in its environment, and compared")
    say("Ann's, whose code was never committed, and the best run of her search, at once:")
    best = shown("search", ben)["tags"]["gitml.sweep.best"]
    together([start(f"gitml runs reproduce {name}", ben) for name in ("fast", best)])
    say("Meanwhile, the project in the other terminal:")
    together([project])
    run("gitml runs show diabetes", ben)
    say("And again, with every package at the version that it had:")
    run("gitml runs reproduce diabetes", ben)


def release(origin: Path, ann: Path, ben: Path) -> None:
    chapter("Models go into production by reviewed files, and what runs follows the main branch")
    run("git checkout --quiet -- train.py", ann)
    port = free_port()
    (ann / "gitml.yaml").write_text(SETTINGS.format(port=port))
    (ann / "registry.yaml").write_text(POLICY)
    run("cat registry.yaml gitml.yaml", ann)
    run("git add registry.yaml gitml.yaml", ann)
    run("git commit --quiet --message 'What is asked of production, and where it runs'", ann)
    run("git push --quiet origin main", ann)
    say("There is no forge here. What CI does elsewhere, a hook of origin does after each push:")
    hook = origin / "hooks" / "post-receive"
    shutil.copy(HERE / "post-receive", hook)
    hook.chmod(0o755)
    run("grep -v ^# hooks/post-receive", origin)
    run("git clone --quiet origin.git server", origin.parent)
    run("gitml registry register runs:/forest/model tumours", ann)
    run("gitml registry register runs:/fast/model tumours", ann)
    say("Ann proposes her forest, by a branch:")
    try:
        promote(ann, ben, "v1.0.0")
        with Client(port) as client:
            say("From now on a client asks all the time. The second version goes the same way:")
            promote(ann, ben, "v1.0.1")
            say("It is not liked, so Ann takes it back:")
            run("gitml registry rollback tumours production", ann)
            review(ben, "rollback/tumours/production/v1.0.0")
            run("gitml status", ben)
        say(client.told())
        run("git fetch --quiet origin", ben)
        run("gitml registry history tumours", ben)
        say("Somebody moves the tag of a version to another run. It is found, and not deployed:")
        forge(ann)
        run("gitml registry verify --remote", ben, code=1)
        run("gitml deploy", ben.parent / "server", code=1)
        run("gitml status", ben)
    finally:
        run("gitml deploy production --down", ben.parent / "server")


SETTINGS = """experiment: tumours
deployments:
  production: {{target: local, port: {port}, env_manager: local}}
"""
POLICY = """schema: 1
stages: [staging, production]
gates:
  production:
    - metrics.auc >= 0.95
    - signature.compatible
"""


def promote(ann: Path, ben: Path, version: str) -> None:
    run(f"gitml registry promote tumours@{version} production", ann)
    review(ben, f"promote/tumours/production/{version}")


def review(ben: Path, branch: str) -> None:
    say("CI checks the proposal against the policy of the main branch; Ben merges it:")
    run("git pull --quiet --ff-only origin main", ben)
    run("git fetch --quiet origin", ben)
    run(f"gitml ci check --base origin/main --head origin/{branch}", ben)
    run(f"git merge --quiet --no-ff --message 'Merge {branch}' origin/{branch}", ben)
    say("The push starts the hook: a tag of production is made, and that has the version served:")
    run("git push --quiet origin main", ben)
    run("tail -n 1 deploy.log", ben.parent)


def forge(ann: Path) -> None:
    other = commit_of("slow", ann)
    run(f"git tag --force --annotate tumours@v1.0.0 {other} --message forged", ann)
    run("git push --quiet --force origin refs/tags/tumours@v1.0.0", ann)


class Client:
    """Asks the server for predictions, all the time, and counts who answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._answers: collections.Counter[str] = collections.Counter()
        self._lost: list[str] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        if self._lost:
            sys.exit(f"the client lost {len(self._lost)} requests: {self._lost[0]}")

    def told(self) -> str:
        """Who answered how often."""
        given = ", ".join(f"{count} by {who}" for who, count in sorted(self._answers.items()))
        return f"The client's requests were answered all: {given}."

    def _ask(self) -> None:
        rows = load_breast_cancer(as_frame=True).data[:1]
        body = json.dumps({"dataframe_split": rows.to_dict(orient="split")}).encode()
        head = {"Content-Type": "application/json"}
        while not self._is_over:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self._port}/invocations", body, head
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self._answers[answer.headers["gitml-version"]] += 1
            except OSError as error:
                self._lost.append(str(error))
            time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def commit_of(name: str, folder: Path) -> str:
    """The run commit of a run."""
    return str(shown(name, folder)["run_commit"])


def shown(name: str, folder: Path) -> dict[str, Any]:
    """A run as `gitml runs show` tells it to programs."""
    told = subprocess.run(
        ["gitml", "runs", "show", name, "--format", "json"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def chapter(title: str) -> None:
    print(f"\n\n== {title} ==", flush=True)


def say(text: str) -> None:
    print("\n" + textwrap.fill(text, 90), flush=True)


def run(command: str, folder: Path, code: int = 0) -> None:
    """Show a command and run it; the demo ends where one ends otherwise than it should."""
    print(f"\n{folder.name}$ {command}", flush=True)
    done = subprocess.run(shlex.split(command), cwd=folder, stdin=subprocess.DEVNULL)
    if done.returncode != code:
        sys.exit(f"the command ended with {done.returncode}")


def start(command: str, folder: Path) -> Started:
    """Show a command that runs in another terminal from now on."""
    print(f"\n{folder.name}$ {command} &", flush=True)
    pipe = subprocess.PIPE
    none, all_of_it = subprocess.DEVNULL, subprocess.STDOUT
    return subprocess.Popen(
        shlex.split(command), cwd=folder, stdin=none, stdout=pipe, stderr=all_of_it
    )


def together(commands: list[Started]) -> None:
    """Wait for commands, and show what each of them said."""
    for command in commands:
        said, _ = command.communicate()
        print(f"\n{said.decode()}", end="", flush=True)
        if command.returncode:
            sys.exit(f"a command ended with {command.returncode}")


if __name__ == "__main__":
    main()
