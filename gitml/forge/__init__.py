"""Forges: where changes are reviewed. GitHub and GitLab by their HTTP APIs, others by git alone.

Tokens come from the environment only, and go to the API that belongs to the remote's own host.
"""

from __future__ import annotations

from gitml.forge.approvals import Approvals
from gitml.forge.finding import forge_of
from gitml.forge.interface import Forge
from gitml.forge.proposal import Opened, Proposal, Status

__all__ = ["Approvals", "Forge", "Opened", "Proposal", "Status", "forge_of"]
