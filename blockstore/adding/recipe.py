"""How a file or a folder became UnixFS, as its origin keeps it: what decides which CID the same bytes get.

profile[+tar][+mode][+mtime][+no-hidden]        such as unixfs-v1-2025+mode
car, block                                      blocks as they are, without a profile
"""

from dataclasses import dataclass
from typing import Final

from blockstore.adding.reading import Keep
from content.unixfs.profile import PROFILES, Profile
from runtime.errors import BadRequest

CAR: Final = "car"
BLOCK: Final = "block"  # the bytes are the block itself
_WORDS: Final = ("tar", "mode", "mtime", "no-hidden")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`profile`: the name of one, or what else the text of an origin begins with; "" where it is not known.

    `tar`: what is in an archive was added. `mode`, `mtime`: kept in the DAG. `no_hidden`: names with a dot
    first were left out.
    """

    profile: str = ""
    tar: bool = False
    mode: bool = False
    mtime: bool = False
    no_hidden: bool = False

    @classmethod
    def parsed(cls, text: str) -> "Recipe":
        """What an origin says. Raises BadRequest for what only a later version can have meant."""
        profile, *words = text.split("+")
        unknown = set(words).difference(_WORDS)
        if unknown:
            raise BadRequest(f"it was added in a way that is not known here: {sorted(unknown)[0][:40]}")
        return cls(profile, *(word in words for word in _WORDS))

    @property
    def text(self) -> str:
        """As an origin keeps it."""
        said = zip(_WORDS, (self.tar, self.mode, self.mtime, self.no_hidden), strict=True)
        return "+".join([self.profile, *(word for word, is_so in said if is_so)])

    @property
    def keep(self) -> Keep:
        """Which attributes the DAG has."""
        return Keep(mode=self.mode, mtime=self.mtime)

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles that come into question: the one on record, or all there are."""
        known = PROFILES.get(self.profile)
        return tuple(PROFILES.values()) if known is None else (known,)
