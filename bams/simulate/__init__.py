"""Simulated behaviour with known causes at several timescales."""

from bams.simulate.flies import SimulatedFlies, simulate_flies
from bams.simulate.mice import ACTIONS, KEYPOINTS, MODES, SimulatedMice, simulate_mice
from bams.simulate.quadrupeds import simulate_quadrupeds

__all__ = ["ACTIONS", "KEYPOINTS", "MODES", "SimulatedFlies", "SimulatedMice"]
__all__ += ["simulate_flies", "simulate_mice", "simulate_quadrupeds"]
