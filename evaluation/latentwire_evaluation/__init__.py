"""Evaluation of Latentwire through its real services."""
