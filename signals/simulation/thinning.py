"""Fewer people on foot, for training that is short of time.

People on crossings cost most of SUMO's time, more than in proportion. A policy that trains with a
part of them still meets every walk and clearance (they do not depend on how many walk), and is
validated and judged with all of them.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from xml.etree import ElementTree


def thin_walkers(route_file: Path, target: Path, share: float) -> None:
    """Copy a route file with a share of its persons; vehicles stay as they are.

    Who stays depends on the person's id alone, so that the same day is thinned the same way.

    Args:
        route_file: SUMO route file.
        target: File to write.
        share: Share of persons kept, 0 to 1.
    """
    tree = ElementTree.parse(route_file)
    root = tree.getroot()
    for person in root.findall("person"):
        if zlib.crc32(person.get("id", "").encode()) / 2**32 >= share:
            root.remove(person)
    tree.write(target, encoding="utf-8", xml_declaration=True)
