"""The workflows by which a forge's CI does what gitml offers: written from templates, compared."""
