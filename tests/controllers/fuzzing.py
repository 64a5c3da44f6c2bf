"""Random calls of everything in the OpenAPI document, made by schemathesis.

SEOUL_SIGNALS_FUZZ=10000 python -m pytest tests/controllers/test_fuzz.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

VARIABLE = "SEOUL_SIGNALS_FUZZ"
"""How many calls."""
FEW = 250
# A live stream does not end by itself.
_LEFT_OUT = frozenset(("/v1/stream",))


def wanted() -> int:
    """Calls to make."""
    return int(os.environ.get(VARIABLE, FEW))


def fuzz(url: str, key: str, junction: str, calls: int, before: Callable[[], None]) -> Counter[int]:
    """Call every operation with data that fits its schema, and with data that does not.

    Args:
        url: The service.
        key: An admin's.
        junction: One in service; every other call of a junction is for it.
        calls: At least so many, shared out among the operations.
        before: Called before each operation, to undo what the calls have changed.

    Returns:
        How often each status was answered.
    """
    headers = {"authorization": f"Bearer {key}"}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [item for item in operations if item.path not in _LEFT_OUT]
    seen: Counter[int] = Counter()
    with requests.Session() as session:
        session.trust_env = False
        turn = 0
        while seen.total() < calls:
            left = calls - seen.total()
            most = max(2, min(200, left // (3 * len(operations)) + 1))
            for operation in operations:
                names = [{}, {"junction": junction}] if "{junction}" in operation.path else [{}]
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    for fixed in names:
                        before()
                        strategy = operation.as_strategy(
                            generation_mode=mode, path_parameters=fixed or None
                        )
                        _drive(strategy, mode, session, headers, seen, most, turn)
            turn += 1
    return seen


def _drive(
    strategy: Any,
    mode: GenerationMode,
    session: requests.Session,
    headers: dict[str, str],
    seen: Counter[int],
    most: int,
    turn: int,
) -> None:
    @seed(turn)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def once(case: Any) -> None:
        answer = case.call(session=session, headers=headers)
        seen[answer.status_code] += 1
        assert answer.status_code < 500, (case.method, case.formatted_path, answer.text)

    try:
        once()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing fits the operation's own schema"
