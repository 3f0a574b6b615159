"""Figures of tools/plot.py, one module for each family of tasks."""
