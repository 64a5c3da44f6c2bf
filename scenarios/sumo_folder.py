"""A world as files that SUMO runs by itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.sax.saxutils import quoteattr

from signals.errors import OutputError
from signals.world import World


def write_sumo_folder(world: World, name: str, seed: int, out: Path) -> Path:
    """Copy net, street furniture and one demand day, and write a .sumocfg beside them.

    Args:
        world: The world.
        name: Stem of the configuration's name.
        seed: Demand day, and SUMO's own seed.
        out: Folder to write into; made when missing.

    Returns:
        The configuration.

    Raises:
        OutputError: The folder cannot be written.
    """
    files = {
        "net-file": (world.net_file,),
        "route-files": (world.routes(seed),),
        "additional-files": world.additional_files,
    }
    configuration = out / f"{name}.sumocfg"
    try:
        out.mkdir(parents=True, exist_ok=True)
        rows = []
        for option, sources in files.items():
            for source in sources:
                if source.resolve() != (out / source.name).resolve():
                    shutil.copyfile(source, out / source.name)
            if sources:
                names = ",".join(source.name for source in sources)
                rows.append(f"<{option} value={quoteattr(names)}/>")
        rows += [
            f'<begin value="{world.begin_s}"/>',
            f'<end value="{world.end_s}"/>',
            f'<seed value="{seed}"/>',
            '<time-to-teleport value="-1"/>',
            '<ignore-route-errors value="true"/>',
        ]
        body = "\n".join(f"    {row}" for row in rows)
        configuration.write_text(f"<configuration>\n{body}\n</configuration>\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write to {out} ({error.strerror}); give --out a writable folder"
        ) from error
    return configuration
