"""What an operator may set about pinning. Values are checked when made."""

from dataclasses import dataclass, field
from typing import Any

from pinning.limits import PinLimits


def _doc(text: str, **bounds: float) -> dict[str, Any]:
    return {"doc": text, **bounds}


@dataclass(frozen=True, slots=True)
class PinSettings:
    """Section `[pinning]`."""

    at_once: int = field(
        default=16,
        metadata=_doc("pins whose content is brought here at once; each may take 30 MB", min=1, max=256),
    )
    at_once_per_account: int = field(
        default=4, metadata=_doc("of those, pins of one account; more wait their turn", min=1, max=256)
    )
    fetches_per_pin: int = field(
        default=8, metadata=_doc("parts of one pin's content asked of other nodes at once", min=1, max=64)
    )
    attempts: int = field(
        default=8,
        metadata=_doc("tries before a pin is failed; the wait between two doubles", min=1, max=1000),
    )
    retry_s: float = field(default=10.0, metadata=_doc("wait after the first try that failed", min=0.01))
    retry_max_s: float = field(default=1800.0, metadata=_doc("longest wait between two tries", min=0.01))
    try_s: float = field(
        default=86_400.0, metadata=_doc("longest time one try may take, however much still comes", min=0.1)
    )
    slice_s: float = field(
        default=60.0,
        metadata=_doc("a pin at work this long makes room where another account's waits", min=0.1),
    )
    max_blocks: int = field(
        default=1 << 24, metadata=_doc("blocks one pin may have; a pin of more is failed", min=1)
    )
    max_open_per_account: int = field(
        default=100_000,
        metadata=_doc(
            "pins of one account that wait for their content; more are refused; 0: no limit", min=0
        ),
    )
    max_pins_per_account: int = field(
        default=5_000_000,
        metadata=_doc("pins of one account in all, 1 KB each; more are refused; 0: no limit", min=0),
    )
    max_origins_per_account: int = field(
        default=1_000_000,
        metadata=_doc(
            "origins of one account's pins kept on record for ever; more only with the pin; 0: no limit",
            min=0,
        ),
    )

    @property
    def limits(self) -> PinLimits:
        """What one account may have."""
        return PinLimits(self.max_open_per_account, self.max_pins_per_account, self.max_origins_per_account)
