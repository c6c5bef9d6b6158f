"""A small, strict runner of GitHub's workflows, for tests.

It does what GitHub is known to do, on real git repositories and with real processes, and raises
`UnsupportedError` for whatever it does not know, so that nothing passes because it was overlooked. From
the ground up: expressions and patterns; a workflow as it is written; events and what they start;
the hub, which is the forge's repository with GitHub's rules; actions; jobs; runs.
"""
