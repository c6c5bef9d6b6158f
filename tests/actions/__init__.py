"""A small, strict runner of GitHub's workflows, for tests.

It does what GitHub is known to do, on real git repositories and with real processes, and fails for
whatever it does not know, so that nothing passes because it was overlooked. From the ground up:
values and expressions; a workflow as it is written; events and what they start; the hub, which is
the forge's repository with GitHub's rules; actions and jobs; runs.
"""
