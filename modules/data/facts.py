"""What is known of a data set besides its record: for people to look at before anything is trained."""

import csv
import io
from pathlib import Path

from modules.records import DataRecord, PartName, Record


class Facts(Record):
    """Counts, sizes, copies and what was left out."""

    counts: dict[PartName, tuple[int, ...]]  # images of each class
    sizes: tuple[tuple[int, int], ...]  # height and width of the smallest, a middle and the largest; () if as they are
    copies: int  # images that are equal to an earlier one
    near_copies: int  # different images that look like an earlier one, and so share its part
    left_out: tuple[tuple[str, str], ...]  # names of what is in no part, and why

    def left_out_csv(self) -> str:
        """The names of what was left out, and why, as a table."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", "reason"])
        writer.writerows(self.left_out)
        return text.getvalue()


def read_facts(home: Path, record: DataRecord) -> Facts:
    """Those that lie beside a record's arrays."""
    return Facts.model_validate_json((home / record.folder / "facts.json").read_text())
