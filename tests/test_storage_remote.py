"""Tests of the remotes' places: read as DVC reads them, joined right, published without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitml.documents import load_yaml
from gitml.errors import FormatError, StorageError, UsageError
from gitml.storage import (
    Cache,
    Pointer,
    Remote,
    foreign_remote,
    missing,
    project_remote,
    run_config_text,
    run_remote,
    runs_remote,
    set_project_remote,
)
from gitml.storage.remote import without_secrets
from tests.artifacts import dvc
from tests.conftest import run_git


def configure(root: Path, text: str, name: str = "config") -> None:
    """Write a DVC configuration."""
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc" / name).write_text(text)


def as_dvc_reads(root: Path) -> dict[str, Any]:
    """The default remote as DVC itself resolves it: URL and options as text."""
    from dvc.config import Config
    from dvc.fs import get_fs_config

    config = Config(str(root / ".dvc"), validate=False)
    found = get_fs_config(config, name=config["core"]["remote"])
    return {key: ",".join(v) if isinstance(v, list) else str(v) for key, v in found.items()}


STORE = "[core]\n    remote = store\n['remote \"store\"']\n    url = {}\n"

CONFIGS = {
    "s3": (STORE.format("s3://bucket/path") + "    endpointurl = http://127.0.0.1:9\n", ""),
    "relative": (STORE.format("../../store"), ""),
    "absolute": (STORE.format("/srv/store"), ""),
    "home": (STORE.format("~/store"), ""),
    "upper case": ("[CORE]\nremote = Store\n['remote \"STORE\"']\nURL = s3://Bucket/Path\n", ""),
    "quoted": (STORE.format('"s3://bucket/a, b #c"'), ""),
    "list": (STORE.format("../s") + "    type = reflink,copy\n", ""),
    "unquoted section": ('[core]\nremote=x\n[remote "x"]\nurl=gs://b\n', ""),
    "local": (
        STORE.format("ssh://host/dir"),
        "['remote \"store\"']\n    password = geheim\n    keyfile = keys/id\n    user = bob\n",
    ),
    "local default": (
        STORE.format("/srv/a") + "['remote \"b\"']\n    url = /srv/b\n",
        "[core]\n    remote = b\n",
    ),
    "reference": (
        "[core]\nremote = data\n['remote \"data\"']\nurl = remote://base/sub/dir\nregion = eu\n"
        "['remote \"base\"']\nurl = s3://bucket/root\nprofile = team\nregion = us\n",
        "",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_default_remote_is_the_one_dvc_sees(name: str, tmp_path: Path) -> None:
    """URL and options are what DVC makes of the same files."""
    shared, local = CONFIGS[name]
    configure(tmp_path, shared)
    configure(tmp_path, local, "config.local")
    remote = project_remote(tmp_path)
    assert remote is not None
    assert {"url": remote.url, **remote.options} == as_dvc_reads(tmp_path)


def test_the_users_configuration_comes_first_and_is_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """System, user, project, project's local file: the later one wins, as in DVC."""
    for level in ("system", "global"):
        folder = tmp_path / level
        folder.mkdir()
        monkeypatch.setenv(f"DVC_{level.upper()}_CONFIG_DIR", str(folder))
        (folder / "config").write_text(
            f"['remote \"store\"']\n    profile = {level}\n    {level} = {level}\n"
        )
    root = tmp_path / "root"
    root.mkdir()
    configure(root, STORE.format("s3://bucket"))
    configure(root, "['remote \"store\"']\n    region = here\n", "config.local")
    remote = project_remote(root)
    assert remote is not None
    assert remote.options == {
        "profile": "global",
        "system": "system",
        "global": "global",
        "region": "here",
    }
    assert {"url": remote.url, **remote.options} == as_dvc_reads(root)


def test_without_a_default_remote_there_is_none(tmp_path: Path) -> None:
    """Neither without DVC, nor with remotes of which none is the default."""
    assert project_remote(tmp_path) is None
    assert runs_remote(tmp_path) is None
    configure(tmp_path, "['remote \"store\"']\n    url = /srv/store\n")
    assert project_remote(tmp_path) is None
    assert project_remote(tmp_path, "Store") == Remote("store", "/srv/store")


def test_the_nearest_configuration_within_the_repository_holds(repo: Path) -> None:
    """A folder has the remote above it; what is above the repository does not count."""
    configure(repo.parent, STORE.format("/srv/stray"))
    (repo / "team").mkdir()
    assert project_remote(repo / "team") is None
    configure(repo, STORE.format("/srv/store"))
    assert project_remote(repo / "team") == Remote("store", "/srv/store")
    configure(repo / "team", STORE.format("/srv/team"))
    assert project_remote(repo / "team") == Remote("store", "/srv/team")


def test_a_bare_repository_ends_the_search_too(bare: Path) -> None:
    """What lies above it is not the project's."""
    configure(bare.parent, STORE.format("/srv/stray"))
    assert project_remote(bare) is None


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("[core]\nremote = gone\n", UsageError, "'gone' has no URL"),
        (STORE.format("remote://store/x"), UsageError, "'store' stands on itself"),
        (STORE.format("remote://gone/x"), UsageError, "'gone' has no URL"),
        ("[core\n", FormatError, "config' is no DVC configuration"),
        ("[core]\n[core]\n", FormatError, "config' is no DVC configuration"),
    ],
)
def test_a_broken_configuration_is_named(
    text: str, kind: type[Exception], problem: str, tmp_path: Path
) -> None:
    """One line that says which file or remote, and what."""
    configure(tmp_path, text)
    with pytest.raises(kind, match=problem):
        project_remote(tmp_path)


def test_a_file_url_is_the_folder(tmp_path: Path) -> None:
    """file:// means the path behind it, which DVC itself would take for a relative one."""
    configure(tmp_path, STORE.format("file:///srv/my%20store"))
    assert project_remote(tmp_path) == Remote("store", "/srv/my store")


# -- the remote that somebody else's run names ---------------------------------------------


def cases() -> list[Any]:
    """The corpus of configurations."""
    path = Path(__file__).parent / "hostile" / "remotes.yaml"
    found = load_yaml(path.read_bytes(), path.name)
    return [pytest.param(case, id=case["name"]) for case in found]


def named(url: str, more: str = "") -> bytes:
    """The configuration of a run whose artifacts are at `url`."""
    return f"[core]\nremote = gitml\n['remote \"gitml\"']\nurl = {url}\n{more}".encode()


@pytest.mark.parametrize("case", cases())
def test_a_place_that_somebody_else_names(case: dict[str, Any], tmp_path: Path) -> None:
    """It is read from when it is a plain URL of a store, or a folder, and else ignored."""
    text = case["text"].encode() if "text" in case else named(case["url"])
    found = foreign_remote(tmp_path, text)
    if case.get("read"):
        assert found == Remote("gitml", case["url"].strip("'"))
    else:
        assert found is None


def test_nothing_but_the_url_counts(tmp_path: Path) -> None:
    """No option from outside says whom to ask, with what, or where credentials are."""
    more = "endpointurl = http://evil\ncredentialpath = /x\nproxy = http://evil\npassword = x\n"
    assert foreign_remote(tmp_path, named("s3://b/gitml", more)) == Remote("gitml", "s3://b/gitml")


def test_a_configuration_that_is_too_long_names_nothing(tmp_path: Path) -> None:
    """It is not even parsed."""
    assert foreign_remote(tmp_path, named("s3://b", "#" * 200_000)) is None


@pytest.mark.parametrize("url", ["s3://b/x", "https://bob:geheim@host/x", "gdrive://root/x"])
def test_credentials_come_from_the_users_own_remote_of_that_url(url: str, tmp_path: Path) -> None:
    """Though it is not the default one any more; then any URL will do that the user has chosen."""
    configure(tmp_path, "[core]\nremote = other\n['remote \"other\"']\nurl = s3://elsewhere\n")
    configure(
        tmp_path,
        f"['remote \"old\"']\nurl = {url}\npassword = geheim\n['remote \"none\"']\nuser = x\n",
        "config.local",
    )
    public = url.replace("bob:geheim@", "")
    options = {"password": "geheim"}
    assert foreign_remote(tmp_path, named(public)) == Remote("old", url, options)
    below = foreign_remote(tmp_path, named(f"{public}/gitml"))
    assert below == Remote("gitml", f"{url}/gitml", options)
    assert foreign_remote(tmp_path, named("s3://stranger")) == Remote("gitml", "s3://stranger")


# -- options that start programs -----------------------------------------------------------

STARTING = [
    ("s3://b", "credentialpath"),
    ("s3://b", "configpath"),
    ("webdavs://h/x", "bearer_token_command"),
    ("gdrive://root/x", "gdrive_user_credentials_file"),
]


@pytest.mark.parametrize(("url", "option"), STARTING)
def test_no_file_of_the_repository_says_what_to_run(url: str, option: str, repo: Path) -> None:
    """A remote with such an option has its place, but is not opened, unless the user set it."""
    section = f"['remote \"store\"']\n    {option} = x\n"
    configure(repo, STORE.format(url) + section.partition("\n")[2])
    for remote in (project_remote(repo), runs_remote(repo), foreign_remote(repo, named(url))):
        assert remote is not None
        assert remote.starting == option
        with pytest.raises(StorageError, match=f"option {option} from the repository"):
            missing(Cache(repo / "cache"), remote, [Pointer("0" * 32, 1)])
    configure(repo, section, "config.local")
    assert project_remote(repo) == Remote("store", url, {option: _value(repo, option)})
    run_git(repo, "add", "--force", ".dvc/config.local")
    found = project_remote(repo)
    assert found is not None
    assert found.starting == option


INSIDE = [
    "x", "../x", "./../data/x", "../../repo/x", "~/../repo/x", "{repo}/x", "{repo}/.dvc/../x",
    "../into", "../../into-repo/x", "../nested/x", "{home}/../other/x", "/$PWD/x", "{root}/tree/x",
    ".git/../../.git/x",
]  # fmt: skip
OUTSIDE = ["../../x", "~/.aws/credentials", "{home}/x", "/etc/x", "../outside", "../../out-link"]


@pytest.mark.parametrize("option", ["credentialpath", "configpath"])
@pytest.mark.parametrize(
    ("form", "is_refused"), [(f, True) for f in INSIDE] + [(f, False) for f in OUTSIDE]
)
def test_a_file_outside_of_every_clone_may_be_named(
    form: str, is_refused: bool, option: str, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the user's, as everybody's `~/.aws/credentials`; links are followed first."""
    root = repo.parent
    home = root / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    run_git(root, "init", "--quiet", "other")
    run_git(repo, "init", "--quiet", "nested")
    run_git(repo, "worktree", "add", "--quiet", str(root / "tree"))
    (repo / "into").symlink_to("train.py")
    (repo / "outside").symlink_to(home)
    (root / "into-repo").symlink_to(repo)
    (root / "out-link").symlink_to(home)
    value = form.format(repo=repo, home=home, root=root)
    configure(repo, STORE.format("s3://b") + f"    {option} = {value}\n")
    found = project_remote(repo)
    assert found is not None
    assert found.starting == (option if is_refused else None)


def test_a_home_that_is_kept_in_git_is_still_the_users(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But a clone that is the home itself brought what is in it."""
    home = repo.parent
    run_git(home, "init", "--quiet")
    monkeypatch.setenv("HOME", str(home))
    for folder, expected in ((repo, None), (home, "credentialpath")):
        configure(folder, STORE.format("s3://b") + "    credentialpath = ~/.aws/credentials\n")
        found = project_remote(folder)
        assert found is not None
        assert found.starting == expected


def _value(repo: Path, option: str) -> str:
    return "x" if option.endswith("command") else str(repo / ".dvc" / "x")


def test_what_starts_no_program_may_be_committed(repo: Path) -> None:
    """Another store does with an option of that name what is harmless."""
    configure(repo, STORE.format("gs://b") + "    credentialpath = x\n")
    remote = runs_remote(repo)
    assert remote is not None
    assert remote.starting is None


def test_credentials_that_came_with_a_clone_start_nothing(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS' library would run the command that a file of credentials names."""
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path}/canary'\n")
    program.chmod(0o755)
    (repo / "aws").write_text(f"[evil]\ncredential_process = {program}\n")
    options = (
        "    credentialpath = ../aws\n    profile = evil\n    endpointurl = http://127.0.0.1:9\n"
    )
    configure(repo, STORE.format("s3://b") + options)
    remote = runs_remote(repo)
    assert remote is not None
    with pytest.raises(StorageError):
        missing(Cache(repo / "cache"), remote, [Pointer("0" * 32, 1)])
    assert not (tmp_path / "canary").exists()


# -- the runs' remote ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", "s3://bucket/gitml"),
        ("s3://bucket/path/", "s3://bucket/path/gitml"),
        ("gs://bucket/a/b", "gs://bucket/a/b/gitml"),
        ("azure://container", "azure://container/gitml"),
        ("ssh://data@host:2222/srv/store", "ssh://data@host:2222/srv/store/gitml"),
        ("https://host/store?sig=1", "https://host/store/gitml?sig=1"),
        ("/srv/store", "/srv/store/gitml"),
        ("/", "/gitml"),
        ("C:\\store", "C:\\store\\gitml"),
        ("C:/store/", "C:/store/gitml"),
        ("\\\\server\\share\\", "\\\\server\\share\\gitml"),
    ],
)
def test_the_runs_are_below_the_projects_remote(url: str, expected: str) -> None:
    """One more folder, in the way the kind of place writes folders."""
    assert run_remote(Remote("store", url)) == Remote("gitml", expected)


def test_the_runs_remote_inherits_the_options_but_no_layout() -> None:
    """Credentials and endpoints hold; cloud versioning, another layout, does not."""
    project = Remote("s", "s3://b", {"profile": "x", "version_aware": "true", "worktree": "true"})
    assert run_remote(project).options == {"profile": "x"}


def test_a_remote_called_gitml_is_taken_as_it_is(tmp_path: Path) -> None:
    """A project may put its runs elsewhere; a remote asked for by name still gets the prefix."""
    configure(tmp_path, STORE.format("/srv/store") + "['remote \"gitml\"']\n    url = s3://runs\n")
    assert runs_remote(tmp_path) == Remote("gitml", "s3://runs")
    assert runs_remote(tmp_path, "store") == Remote("gitml", "/srv/store/gitml")


def test_the_runs_configuration_is_one_that_dvc_reads(tmp_path: Path) -> None:
    """URL and options come back through DVC's own reader, odd characters included."""
    remote = Remote("gitml", "s3://bucket/a, b #c/gitml", {"endpointurl": "http://127.0.0.1:9"})
    configure(tmp_path, run_config_text(remote))
    assert as_dvc_reads(tmp_path) == {
        "url": remote.url,
        "endpointurl": "http://127.0.0.1:9",
        "verify": "true",
    }


def test_the_runs_configuration_is_short() -> None:
    """The text that stands in every run commit."""
    assert run_config_text(Remote("gitml", "s3://bucket/gitml", {"region": "eu-central-1"})) == (
        "[core]\n    remote = gitml\n['remote \"gitml\"']\n    url = s3://bucket/gitml\n"
        "    region = eu-central-1\n    verify = true\n"
    )


def test_no_secret_is_published() -> None:
    """Every option of DVC that authenticates, or that only holds on one machine, stays at home."""
    from dvc.config_schema import REMOTE_SCHEMAS

    options = {str(key): f"HIDDEN-{key}" for schema in REMOTE_SCHEMAS.values() for key in schema}
    options |= {"endpointurl": "https://u:HIDDEN-p@host", "ssl_verify": "/home/HIDDEN/ca.pem"}
    options.pop("url")
    text = run_config_text(
        Remote("gitml", "https://me:HIDDEN-pw@host/x?sig=HIDDEN#HIDDEN", options)
    )
    published = {line.split(" = ")[0].strip() for line in text.splitlines() if "HIDDEN" in line}
    assert published == {
        "account_name",
        "allow_anonymous_login",
        "auth",
        "cache_regions",
        "gdrive_acknowledge_abuse",
        "gdrive_use_service_account",
        "kerberos",
        "method",
        "oss_endpoint",
        "port",
        "projectname",
        "region",
        "sse",
        "sse_kms_key_id",
        "use_https",
        "use_ssl",
    }
    assert "    url = https://host/x\n" in text
    assert "    endpointurl = https://host\n" in text


def test_the_user_of_an_ssh_address_stays() -> None:
    """It says whose folder it is; the password goes."""
    text = run_config_text(Remote("gitml", "ssh://data:geheim@host:22/srv"))
    assert "url = ssh://data@host:22/srv\n" in text


def test_a_remote_shows_no_secret() -> None:
    """Neither in a message nor in a traceback."""
    remote = Remote("s", "https://u:geheim@host/x?sig=geheim", {"password": "geheim"})
    assert str(remote) == repr(remote) == "s (https://host/x)"


def test_what_a_backend_says_is_cleaned() -> None:
    """Credentials go, whatever the backend puts into its message; it becomes one line."""
    remote = Remote("s", "s3://b", {"secret_access_key": "abc/def+1", "region": "eu-west-1"})
    said = "denied for abc/def+1\n in eu-west-1 at https://u:p@host/"
    assert without_secrets(said, remote) == "denied for *** in eu-west-1 at https://host/"


# -- giving the project a remote -----------------------------------------------------------


def tracked(folder: Path) -> dict[str, bytes]:
    """The files that `dvc init` and `dvc remote add` write for git."""
    names = (".dvc/.gitignore", ".dvc/config", ".dvcignore")
    return {name: (folder / name).read_bytes() for name in names}


def test_a_new_remote_is_what_dvc_would_have_written(repo: Path) -> None:
    """`dvc init --subdir` and `dvc remote add --default`, byte for byte, for paths and URLs."""
    for number, url in enumerate(("../../store", "/srv/store", "s3://bucket/path")):
        ours, theirs = repo / f"ours{number}", repo / f"dvcs{number}"
        theirs.mkdir()
        dvc(theirs, "init", "--subdir", "--quiet")
        dvc(theirs, "remote", "add", "--quiet", "--default", "storage", url)
        ours.mkdir()
        here = ours if url.startswith("..") else repo
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            written = set_project_remote(ours, url)
        assert tracked(ours) == tracked(theirs)
        assert {path.relative_to(ours).as_posix() for path in written} == set(tracked(ours))


def test_an_existing_configuration_keeps_its_other_lines(repo: Path) -> None:
    """Only the remote is added; comments and other sections stay."""
    configure(repo, "# ours\n[cache]\n    type = copy\n['remote \"old\"']\n    url = /srv/old\n")
    (repo / "team").mkdir()
    assert set_project_remote(repo / "team", "s3://bucket") == [repo / ".dvc/config"]
    text = (repo / ".dvc/config").read_text()
    assert text.startswith("# ours\n[cache]\n    type = copy\n['remote \"old\"']\n")
    assert project_remote(repo) == Remote("storage", "s3://bucket")
    assert project_remote(repo, "old") == Remote("old", "/srv/old")


def test_a_remote_is_only_added_where_there_is_none(repo: Path) -> None:
    """The same again writes nothing; another one is refused with the command that changes it."""
    assert set_project_remote(repo, "s3://bucket/a")
    before = tracked(repo)
    assert set_project_remote(repo, "s3://bucket/a") == []
    command = "dvc remote modify storage url s3://bucket/b"
    with pytest.raises(UsageError, match=f"'storage' already; change it with `{command}`$"):
        set_project_remote(repo, "s3://bucket/b")
    assert tracked(repo) == before
    dvc(repo, *command.split()[1:])
    assert set_project_remote(repo, "s3://bucket/b") == []


def test_a_remote_that_is_not_the_default_is_named(repo: Path) -> None:
    """With the command that makes it that."""
    set_project_remote(repo, "s3://bucket/a")
    dvc(repo, "config", "--unset", "core.remote")
    with pytest.raises(UsageError, match="not its default; make it that with `dvc remote default"):
        set_project_remote(repo, "s3://bucket/a")
    dvc(repo, "remote", "default", "storage")
    assert set_project_remote(repo, "s3://bucket/a") == []


def test_the_name_of_a_remote_is_no_place(repo: Path) -> None:
    """A folder of that name would be one more remote, and not the one that was meant."""
    dvc(repo, "init", "--quiet")
    dvc(repo, "remote", "add", "--quiet", "box", str(repo.parent / "box"))
    with pytest.raises(UsageError, match="name of a DVC remote, not a place"):
        set_project_remote(repo, "box")
    dvc(repo, "remote", "default", "box")
    assert set_project_remote(repo, "box") == []


def test_the_users_own_default_does_not_keep_the_project_from_one(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only this user has is not what the project has."""
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path))
    (tmp_path / "config").write_text(STORE.format("/srv/mine"))
    assert set_project_remote(repo, "s3://bucket/a")
    assert project_remote(repo) == Remote("storage", "s3://bucket/a")


@pytest.mark.parametrize(
    "url", ["https://u:geheim@host/x", "s3://KEY:geheim@b", "https://h?t=geheim"]
)
def test_a_url_with_a_secret_is_not_committed(url: str, repo: Path) -> None:
    """The file is tracked: a password in the URL is refused, and not repeated."""
    with pytest.raises(UsageError, match=r"config\.local") as caught:
        set_project_remote(repo, url)
    assert "geheim" not in str(caught.value)
    assert not (repo / ".dvc").exists()
