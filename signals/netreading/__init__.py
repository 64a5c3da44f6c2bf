"""The parts of `signals.netreader`: file, links, movements, conflicts, zones, phases, timing."""
