"""Projects: a folder with an MLproject file, whose entry points run as runs."""
