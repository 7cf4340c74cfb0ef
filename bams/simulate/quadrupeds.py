"""Joint angles of walking robots with known causes.

The kind of robot sets which legs swing together. The commanded velocity sets how often they swing (forward), how the
hips stand (sideways) and how much more one side swings than the other (turn). The terrain, in segments of a few
seconds, sets how the robot lifts its feet, leans and stumbles. Joints have offsets that differ between sequences, so
that a single frame does not tell the kind of robot.

N sequences, T frames of 1/50 s, 12 joints: hip, thigh and knee of both front and both hind legs, left first.
"""

import numpy as np

from bams.simulate import bouts

ROBOTS = ("trotter", "pacer", "bounder")
TERRAINS = ("flat", "rough", "stairs")
FPS, JOINTS = 50, 12
LEG_PHASE = np.pi * np.array([[0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]])  # by robot
TERRAIN_SPAN = np.array([2, 6])  # seconds, shortest and longest
SWING = np.array([0.3, 0.3, 0.45])  # by terrain, amplitude of the thighs, radians
LIFT = np.array([0.35, 0.45, 0.8])  # by terrain, of the knees
STUMBLE = np.array([0.0, 0.06, 0.03])  # by terrain, slow noise of all joints at full difficulty
EASE = 10  # frames over which the gait on one terrain turns into the next


def simulate_quadrupeds(sequences: int, *, frames: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    """Sequences of walking robots, float32 or int64 by name; the same arguments give the same numbers.

    dof_pos and dof_vel (N, T, 12) are in radians and radians per second; robot_type (N,) and terrain_type (N, T) are
    indices into ROBOTS and TERRAINS; command_vel (N, 3) is forward and sideways (m/s) and turn (radians/s);
    terrain_slope (N, T) is in radians, terrain_difficulty (N, T) from 0 to 1; names (3,) str are those of the robots.
    """
    bouts.check_arguments(("sequences", sequences, 1), ("frames", frames, 2), ("seed", seed, 0))
    rng = np.random.default_rng(seed)
    shape = sequences, frames
    robot = rng.permutation(np.arange(sequences) % len(ROBOTS))
    command = rng.uniform([0.2, -0.3, -1], [1.5, 0.3, 1], (sequences, 3))
    terrain = bouts.draw(rng, np.zeros(shape, int), np.ones((1, 3, 3)) - np.eye(3), TERRAIN_SPAN * FPS).astype(int)
    slope = bouts.hold(terrain, rng.uniform(-0.3, 0.3, shape))
    difficulty = bouts.hold(terrain, rng.uniform(0, 1, shape))

    hertz = (1.2 + 1.2 * command[:, :1]) * rng.normal(1, 0.03, (sequences, 1))
    phase = rng.uniform(0, 2 * np.pi, (sequences, 1)) + np.cumsum(np.broadcast_to(2 * np.pi * hertz / FPS, shape), 1)
    phase = phase[..., None] + LEG_PHASE[robot][:, None]
    turning = 1 + 0.5 * command[:, 2, None, None] * [1, -1, 1, -1]
    eased = np.stack([0.5 * slope, SWING[terrain], LIFT[terrain] * (0.2 + 0.8 * difficulty)])
    lean, swing, lift = (bouts.trailing_mean(values, EASE)[..., None] for values in eased)
    hip = 0.05 * np.sin(phase) + 0.5 * command[:, 1, None, None]
    thigh = 0.8 + lean + swing * turning * np.sin(phase)
    knee = -1.5 - lift * np.maximum(np.cos(phase), 0)
    position = np.stack([hip, thigh, knee], -1).reshape(*shape, JOINTS)
    position += rng.normal(0, 0.1, (sequences, 1, JOINTS))
    noise = bouts.trailing_mean(rng.normal(0, 1, (*shape, JOINTS)), EASE)
    position += 3 * (STUMBLE[terrain] * difficulty)[..., None] * noise
    velocity = np.gradient(position, 1 / FPS, axis=1) + rng.normal(0, 0.05, position.shape)
    position += rng.normal(0, 0.002, position.shape)
    found = {"dof_pos": position, "dof_vel": velocity, "robot_type": robot, "command_vel": command}
    found |= {"terrain_type": terrain, "terrain_slope": slope, "terrain_difficulty": difficulty}
    dtypes = {"f": np.float32, "i": np.int64}
    return {name: a.astype(dtypes[a.dtype.kind]) for name, a in found.items()} | {"names": np.array(ROBOTS)}
