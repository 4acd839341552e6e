"""The errors that are meant for the person who uses the package."""


class DiffuseMorphError(Exception):
    """Something the user can put right: the message is one sentence that says what is wrong and what to do."""


class Cancelled(DiffuseMorphError):
    """The user stopped the work: a progress callback returned False."""
