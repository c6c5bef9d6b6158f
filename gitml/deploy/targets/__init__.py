"""The places where models are deployed."""
