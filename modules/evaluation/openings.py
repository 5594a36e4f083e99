"""Where the store keeps what weights said about a part of the data, image by image. Imports no torch."""

from modules.digests import digest_of
from modules.parts import revisions_of
from modules.records import DataRecord, PartName


def opening(weights_sha256: str, data: DataRecord, part: PartName) -> tuple[str, str]:
    """The kind and key of the entry."""
    kind, digest = ("test_openings", data.test_digest) if part == "test" else ("observations", data.digest)
    revisions = revisions_of("modules.evaluation.jobs")
    return kind, digest_of({"weights": weights_sha256, "part": part, "data": digest, "revisions": revisions})
