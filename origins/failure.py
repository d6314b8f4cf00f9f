"""Failures of several places for one thing: which of them to tell, and how. Pure."""

from runtime.errors import BadRequest, EdgeError, Forbidden, NotFound, TooLarge, Unreachable, Unverified


def worse(a: EdgeError, b: EdgeError) -> EdgeError:
    """Of two failures the one to tell: a lie before trouble, trouble before absence."""
    return max((b, a), key=_weight)


def _weight(error: EdgeError) -> int:
    if isinstance(error, (Unverified, BadRequest, TooLarge)):
        return 2
    return 0 if isinstance(error, NotFound) else 1


def told(error: EdgeError, shown: str) -> EdgeError:
    """A failure as it is raised for the thing that was looked for."""
    if isinstance(error, NotFound):
        return NotFound(error.message, where=shown)
    if _weight(error) == 2:
        return Unverified(f"an origin gave something else: {error.message}", where=shown, hint=error.hint)
    if isinstance(error, Forbidden):
        return Unreachable(error.message, where=shown, hint=error.hint)
    return Unreachable(f"no origin gave it: {error.message}", where=shown)
