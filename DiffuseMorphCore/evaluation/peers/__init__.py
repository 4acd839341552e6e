"""Other registration programs, each run in a Python environment of its own, so that nobody's pins hurt another.

`calling` finds the environment and calls it. The `drive_*.py` are run by that environment's Python: they import the
other program, `exchange` beside them, and nothing of this package.
"""
