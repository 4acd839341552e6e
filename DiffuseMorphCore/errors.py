"""The errors that are meant for the person who uses the package, and those that libraries raise for want of memory."""

_ALLOCATION = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "bad_alloc")
"""What torch's allocators (CPU, CUDA, MPS) and ITK say, in plain RuntimeErrors, when there is no memory left."""


class DiffuseMorphError(Exception):
    """Something the user can put right: the message is one sentence that says what is wrong and what to do."""


class OptionError(DiffuseMorphError):
    """An option, an argument, or several of them together, that make no sense whatever the files hold."""


class Cancelled(DiffuseMorphError):
    """The user stopped the work: a progress callback returned False."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that an allocation failed, on whatever device and by whichever library."""
    if isinstance(error, RuntimeError):
        return any(words in str(error).lower() for words in _ALLOCATION)
    return isinstance(error, MemoryError)
