"""Flavors: one small module for each library that makes models."""
