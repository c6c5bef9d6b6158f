"""What tags come to: the models, their versions and their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gitml.git import Tag
from gitml.registry import catalog
from gitml.registry.tags import VersionNote, VersionTag, message
from gitml.registry.version import Version

names = st.sampled_from(["churn", "fraud"])
versions = st.builds(Version, *[st.integers(0, 3)] * 3)
times = st.integers(0, 50)
NOTE = VersionNote("0" * 32, "model", "sha256:" + "0" * 64, "same", "Ada <ada@example.org>")


def tag_of(name: VersionTag, time: int, *, inner: str = "") -> Tag:
    """A tag as git tells it."""
    subject, _, body = message(name, NOTE).partition("\n\n")
    mail = "ada@example.org"
    return Tag(str(name), "a" * 40, "b" * 40, inner or str(name), "Ada", mail, time, subject, body)


tags = st.lists(
    st.builds(tag_of, st.builds(VersionTag, names, versions), times), unique_by=lambda tag: tag.name
)


@given(tags, st.randoms())
def test_versions_have_two_orders(found: list[Tag], random: object) -> None:
    """That of their numbers, and that in which they were registered; git's order is no matter."""
    book = catalog.of_tags(found)
    random.shuffle(found)  # type: ignore[attr-defined]
    assert catalog.of_tags(found) == book
    assert book.problems == ()
    assert sum(map(len, book.models.values())) == len(found)
    for name, items in book.models.items():
        numbers = [item.version for item in items]
        assert numbers == sorted(numbers)
        in_time = sorted(items, key=lambda item: item.ordinal)
        assert [item.ordinal for item in in_time] == list(range(1, len(items) + 1))
        assert [item.time for item in in_time] == sorted(item.time for item in items)
        assert book.version(name, "latest") == in_time[-1]
        for item in items:
            assert book.version(name, str(item.version)) == item
            assert book.version(name, str(item.version)[1:]) == item
            assert book.version(name, str(item.ordinal)) == item


@given(tags, st.builds(VersionTag, names, versions), times)
def test_a_later_version_changes_no_number(
    found: list[Tag], name: VersionTag, seconds: int
) -> None:
    """MLflow's numbers stay, whatever version is registered next."""
    if str(name) in {tag.name for tag in found}:
        return
    before = catalog.of_tags(found)
    last = max((tag.time for tag in found), default=0)
    after = catalog.of_tags([*found, tag_of(name, last + 1 + seconds)])
    for model, items in before.models.items():
        for item in items:
            assert after.version(model, str(item.ordinal)) == item
    assert after.latest(name.name).tag == name


@given(tags, st.builds(VersionTag, names, versions))
def test_a_tag_under_another_name_is_a_problem(found: list[Tag], name: VersionTag) -> None:
    """Its number stays taken, and it is no version."""
    others = [tag for tag in found if tag.name != str(name)]
    book = catalog.of_tags([*others, tag_of(name, 1, inner="churn@v9.9.9")])
    assert book.models == catalog.of_tags(others).models
    assert len(book.problems) == 1
    assert str(name) in book.taken
