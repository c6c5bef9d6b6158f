"""The scoring server: a model's predictions over HTTP, by MLflow's protocol."""
