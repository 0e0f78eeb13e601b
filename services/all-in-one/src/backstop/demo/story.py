"""Who lives in the demo and what happened to their generations. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the app, with the credits bought at the beginning."""

    id: str
    name: str
    balance: int

    @property
    def email(self) -> str:
        """Reserved for documentation (RFC 2606): no such mailbox outside the sandbox."""
        return f"{self.id}@example.com"


@dataclass(frozen=True, slots=True)
class Scene:
    """One generation whose webhook was lost. `status` is what the first run must make of its task."""

    person: str
    provider: str
    kind: str
    credits: int
    minutes_ago: int
    behaviour: str
    status: str
    billing: str = "hold"
    details: Mapping[str, object] = field(default_factory=dict)


PEOPLE = (
    Person("mia.chen", "Mia Chen", 400),
    Person("noah.okafor", "Noah Okafor", 260),
    Person("sofia.rossi", "Sofia Rossi", 520),
    Person("liam.novak", "Liam Novak", 150),
    Person("amara.diallo", "Amara Diallo", 300),
    Person("jonas.weber", "Jonas Weber", 180),
    Person("priya.nair", "Priya Nair", 640),
    Person("lucas.silva", "Lucas Silva", 220),
)

SCENES = (
    Scene("mia.chen", "replicate", "video", 20, 48, "succeeded", "completed"),
    Scene("mia.chen", "fal", "image", 4, 31, "succeeded", "completed"),
    Scene("mia.chen", "kie", "video", 24, 27, "processing", "processing"),
    Scene("noah.okafor", "replicate", "image", 3, 22, "succeeded_several", "completed", details={"outputs": 4}),
    Scene("noah.okafor", "kie", "image", 4, 19, "failed", "failed", details={"message": "The prompt was rejected."}),
    Scene("sofia.rossi", "fal", "video", 30, 95, "succeeded", "completed"),
    Scene("sofia.rossi", "fal", "image", 6, 40, "succeeded_several", "completed", details={"outputs": 3}),
    Scene("sofia.rossi", "replicate", "video", 20, 63, "expired", "expired"),
    Scene("liam.novak", "kie", "video", 18, 15, "succeeded", "completed"),
    Scene("liam.novak", "replicate", "image", 3, 14, "flaky", "processing", details={"failing_status": 500}),
    Scene("amara.diallo", "fal", "video", 30, 55, "failed", "failed", details={"message": "Input image is too large."}),
    Scene("amara.diallo", "replicate", "video", 20, 12, "slow", "completed", details={"delay_seconds": 3}),
    Scene("amara.diallo", "kie", "image", 4, 44, "succeeded", "completed", billing="on_success"),
    Scene("jonas.weber", "replicate", "video", 20, 70, "cancelled", "cancelled"),
    Scene("jonas.weber", "fal", "image", 4, 18, "flaky", "processing", details={"failing_status": 429}),
    Scene("priya.nair", "kie", "video", 24, 33, "succeeded", "completed"),
    Scene("priya.nair", "replicate", "video", 20, 29, "succeeded", "completed"),
    Scene("priya.nair", "fal", "video", 30, 24, "unknown_id", "processing"),
    Scene("priya.nair", "kie", "image", 4, 21, "failed", "failed", billing="prepaid"),
    Scene("lucas.silva", "fal", "image", 4, 17, "succeeded", "completed", billing="none"),
    Scene("lucas.silva", "kie", "video", 24, 16, "processing", "processing"),
    Scene("lucas.silva", "replicate", "image", 3, 13, "succeeded", "completed"),
)

FAL_APP = "fal-ai/sandbox"
"""The app of every fal generation; it stands in the task's metadata, where a real app would have put it."""
