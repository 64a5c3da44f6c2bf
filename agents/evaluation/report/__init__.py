"""One self-contained HTML page about a judged set of runs."""
