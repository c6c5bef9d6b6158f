"""The backend `kubernetes`: an entry point runs as a Job, and is recorded through a spool."""
