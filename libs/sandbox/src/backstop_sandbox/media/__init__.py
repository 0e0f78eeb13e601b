"""Real, small, playable outputs: the same bytes for the same generation and index, different ones for any other."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from backstop_sandbox.media.mp4 import labelled_mp4
from backstop_sandbox.media.png import landscape_png
from backstop_sandbox.script import Kind, Script


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a generation as the file host holds it."""

    data: bytes
    media_type: str
    sha256: str

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:32]}"'


@lru_cache(maxsize=256)
def output(kind: Kind, label: str) -> Output:
    """Draw the output that `label` names: the same label always gives the same bytes."""
    data = labelled_mp4(label) if kind is Kind.VIDEO else landscape_png(label)
    media_type = "video/mp4" if kind is Kind.VIDEO else "image/png"
    return Output(data, media_type, hashlib.sha256(data).hexdigest())


def label_of(script: Script, index: int) -> str:
    return f"{script.key}/{index}"
