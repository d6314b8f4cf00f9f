"""Writing `pin.toml`. Apart from `settings`: only commands that change it load what durable writes need."""

from durable.files import replace_file_durably
from runtime.errors import UsageError
from tools.frame.walk import translated
from tools.pin.settings import Settings


def save(settings: Settings) -> None:
    """Put `settings` in the place of the file, whole or not at all, for its owner alone.

    A link is followed, so that a file kept elsewhere stays there. Raises Forbidden, StoreFull, UsageError.
    """
    try:
        settings.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = settings.path.resolve()
    except OSError as fault:
        raise translated(fault, settings.path.parent) from None
    if path.exists() and not path.is_file():
        raise UsageError("not a regular file", where=str(path), hint="name another by FLEEK_PIN_CONFIG")
    replace_file_durably(path, settings.text().encode())
