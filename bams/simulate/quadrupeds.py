"""Joint angles of walking robots with known causes (numpy only).

The kind of robot sets which legs swing together; its commanded velocity how often they swing (forward), how its
hips stand (sideways) and by how much more one side swings than the other (turn); and the terrain, in segments of
a few seconds, how it lifts its feet, leans and stumbles. Joint offsets differ from sequence to sequence, whatever
the robot, so that a single frame does not tell it.

N sequences, T frames at 50 per second, 12 joints: hip, thigh and knee of the front left, front right, hind left
and hind right leg.
"""

import numpy as np

from bams.simulate.bouts import bouts, per_bout

ROBOTS = ("trotter", "pacer", "bounder")
TERRAINS = ("flat", "rough", "stairs")
FPS, JOINTS = 50, 12
LEG_PHASE = np.pi * np.array([[0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]])  # by robot
TERRAIN_SPANS = np.array([[[2, 6], [2, 6], [2, 6]]])  # seconds
SWING = np.array([0.3, 0.3, 0.45])  # by terrain, amplitude of the thighs, radians
LIFT = np.array([0.35, 0.45, 0.8])  # by terrain, of the knees
STUMBLE = np.array([0.0, 0.06, 0.03])  # by terrain, slow noise of all joints at full difficulty


def simulate_quadrupeds(sequences: int, *, frames: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    """Sequences of walking robots; the same arguments give the same numbers.

    Returns:
        dof_pos (N, T, 12) float32, radians; dof_vel (N, T, 12) float32, radians per second; robot_type (N,) int64,
        index into ROBOTS; command_vel (N, 3) float32, forward and sideways (m/s) and turn (radians/s);
        terrain_type (N, T) int64, index into TERRAINS; terrain_slope (N, T) float32, radians; terrain_difficulty
        (N, T) float32, 0 to 1; names (3,) str, of the robots.

    Raises:
        ValueError: a number that is not whole, or too small.
    """
    for name, value, least in (("sequences", sequences, 1), ("frames", frames, 2), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    rng = np.random.default_rng(seed)
    shape = sequences, frames
    robot = rng.permutation(np.arange(sequences) % len(ROBOTS))
    command = rng.uniform([0.2, -0.3, -1], [1.5, 0.3, 1], (sequences, 3))
    switch = np.ones((1, len(TERRAINS), len(TERRAINS))) - np.eye(len(TERRAINS))
    terrain = bouts(rng, np.zeros(shape, int), switch, TERRAIN_SPANS * FPS).astype(int)
    slope = per_bout(terrain, rng.uniform(-0.3, 0.3, shape))
    difficulty = per_bout(terrain, rng.uniform(0, 1, shape))

    hertz = (1.2 + 1.2 * command[:, :1]) * rng.normal(1, 0.03, (sequences, 1))
    phase = rng.uniform(0, 2 * np.pi, (sequences, 1)) + np.cumsum(np.broadcast_to(2 * np.pi * hertz / FPS, shape), 1)
    phase = phase[..., None] + LEG_PHASE[robot][:, None]
    turning = 1 + 0.5 * command[:, 2, None, None] * [1, -1, 1, -1]
    lift = (LIFT[terrain] * (0.2 + 0.8 * difficulty))[..., None]
    hip = 0.05 * np.sin(phase) + 0.5 * command[:, 1, None, None]
    thigh = 0.8 + _ease(0.5 * slope)[..., None] + _ease(SWING[terrain])[..., None] * turning * np.sin(phase)
    knee = -1.5 - _ease(lift[..., 0])[..., None] * np.maximum(np.cos(phase), 0)
    position = np.stack([hip, thigh, knee], -1).reshape(*shape, JOINTS)
    position += rng.normal(0, 0.1, (sequences, 1, JOINTS))
    noise = np.apply_along_axis(_ease, 1, rng.normal(0, 1, (*shape, JOINTS)))
    position += 3 * (STUMBLE[terrain] * difficulty)[..., None] * noise
    velocity = np.gradient(position, 1 / FPS, axis=1) + rng.normal(0, 0.05, position.shape)
    position += rng.normal(0, 0.002, position.shape)
    return {
        "dof_pos": position.astype(np.float32),
        "dof_vel": velocity.astype(np.float32),
        "robot_type": robot.astype(np.int64),
        "command_vel": command.astype(np.float32),
        "terrain_type": terrain.astype(np.int64),
        "terrain_slope": slope.astype(np.float32),
        "terrain_difficulty": difficulty.astype(np.float32),
        "names": np.array(ROBOTS),
    }


def _ease(values: np.ndarray, frames: int = 10) -> np.ndarray:
    """Mean over the last frames of (T,) or, per row, (N, T)."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(frames, 0)], mode="edge")
    total = np.cumsum(padded, -1)
    return (total[..., frames:] - total[..., :-frames]) / frames
