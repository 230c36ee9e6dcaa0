"""The control layer of socker: what a step's container is, and where it is.

START READING at hooks.py: each hook there is the list of its steps.
"""

__version__ = "0.1.0"
