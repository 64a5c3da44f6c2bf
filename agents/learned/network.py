"""The phase-scoring network: one policy for any junction.

Each movement is embedded by the same small network. For every phase the embeddings are pooled
over four sets, the movements that would gain green, lose it, keep it, or stay without, and a second
network scores the phase from the pools and its own features. Nothing depends on the number or the
order of movements and phases.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from signals.observation import MOVEMENT_FEATURES, PHASE_FEATURES

CLOSED = -1e9
"""Score of a phase that the guard would not grant."""
_KINDS = 5
"""The first movement features are its kind, one-hot; a padding row has none."""
_POOL_SCALE = 0.25


class PhaseScorer(nn.Module):
    """Scores every phase of a junction.

    Args:
        width: Units of the hidden layers.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Sequential(
            nn.Linear(len(MOVEMENT_FEATURES), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.score = nn.Sequential(
            nn.Linear(4 * width + len(PHASE_FEATURES), 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )
        self.value = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, movements: Tensor, phases: Tensor, serves: Tensor, mask: Tensor) -> Tensor:
        """Score the phases.

        Args:
            movements: (B, M, F) float32.
            phases: (B, P, G) float32; the first feature marks the present phase.
            serves: (B, P, M) float32.
            mask: (B, P) float32, 1 where a wish would be granted.

        Returns:
            (B, P) float32 scores, `CLOSED` where the mask is 0.
        """
        present = movements[:, :, :_KINDS].sum(dim=2, keepdim=True).clamp(0.0, 1.0)
        embedded = self.embed(movements) * present
        now = torch.matmul(phases[:, :, :1].transpose(1, 2), serves)
        pools = [
            torch.matmul(serves * (1.0 - now), embedded),
            torch.matmul((1.0 - serves) * now, embedded),
            torch.matmul(serves * now, embedded),
            torch.matmul((1.0 - serves) * (1.0 - now), embedded),
        ]
        features = torch.cat([pool * _POOL_SCALE for pool in pools] + [phases], dim=2)
        scores = self.score(features).squeeze(2) + self.value(embedded.sum(dim=1) * _POOL_SCALE)
        return torch.where(mask > 0.5, scores, torch.full_like(scores, CLOSED))
