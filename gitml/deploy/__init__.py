"""Deployments: what the registry's files say is brought to run, and what runs is looked at."""
