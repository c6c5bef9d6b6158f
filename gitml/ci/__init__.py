"""A forge's CI: its workflows, written from templates and compared, and what their jobs do."""
