"""Behaviour of fly groups with known causes: schedule -> motion -> pose -> tracker.

An action (0.1 to 2 s) sets posture, limb rhythm and speed; a mode (2 to 8 s) sets which action follows which. Three
causes are visible in the dynamics only. The strain of a clip sets the step frequency (at equal speed and stride) and
the length of the bouts. Males follow others and sing to them with one wing, females walk and groom. The light is on
for some seconds of a clip and makes flies social.

S clips, A slots of individuals, T frames of 1/150 s, K = 24 pairs of numbers; lengths in mm; a point is x + iy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from bams.simulate import bouts

ACTIONS = ("pause", "walk", "turn", "groom", "sing")
MODES = ("rest", "explore", "social")
PAUSE, WALK, TURN, GROOM, SING = range(5)
SOCIAL = 2
SLOTS, FEWEST, POINTS, PAIRS = 11, 9, 19, 24

FPS, ARENA, NEAR = 150, 25.0, 5.0  # radius of the arena, and distance of a fly that is chased, mm
STEP_HZ = np.array([8.0, 12.0])  # by strain
LIGHT_SPANS = np.array([[[4, 8], [4, 8]]])  # seconds off and on
MODE_SPANS = np.array([[2, 5], [3, 8], [3, 8]])
ACTION_SPANS = np.array([[0.2, 0.8], [0.3, 1.5], [0.1, 0.3], [0.3, 1.2], [0.3, 1.2]])

# weights of what comes next, [from, to]
MODE_FOLLOWS = np.array([  # by sex, then by light
    [[0, 7, 3], [6, 0, 4], [3, 7, 0]], [[0, 2, 8], [1, 0, 9], [1, 9, 0]],
    [[0, 9, 1], [9, 0, 1], [5, 5, 0]], [[0, 6, 4], [6, 0, 4], [2, 8, 0]],
])  # fmt: skip
ACTION_FOLLOWS = np.array([  # by mode, then the social mode of males
    [[0, 2, 1, 7, 0], [8, 0, 1, 1, 0], [7, 1, 0, 2, 0], [9, 0, 1, 0, 0], [1, 0, 0, 0, 0]],
    [[0, 8, 2, 0, 0], [4, 0, 5, 1, 0], [2, 8, 0, 0, 0], [3, 7, 0, 0, 0], [0, 1, 0, 0, 0]],
    [[0, 7, 3, 0, 0], [2, 0, 8, 0, 0], [1, 9, 0, 0, 0], [2, 8, 0, 0, 0], [0, 1, 0, 0, 0]],
    [[0, 6, 2, 0, 2], [1, 0, 3, 0, 6], [1, 5, 0, 0, 4], [2, 6, 2, 0, 0], [1, 6, 3, 0, 0]],
])  # fmt: skip
SPEED = np.array([0.0, 14.0, 1.0, 0.0, 12.0])  # by action, mm per second
STRIDE = np.array([0.0, 0.35, 0.2, 0.0, 0.35])  # by action, amplitude of the leg tips, mm
SMOOTH = 12  # frames over which one posture turns into the next

# resting posture, mm along and across the body: wings, antennae, eyes, thorax front, its base, tip of the abdomen,
# middle legs (femur and knee, right then left), and the six leg tips (front, middle, back; right then left).
BODY = np.array([
    *(-1.5 + 0.4j, -1.5 - 0.4j, 1.2, 0.95 - 0.4j, 0.95 + 0.4j, 0.6 + 0.35j, 0.6 - 0.35j, -0.2, -1.2),
    *(0.2 - 0.4j, 0.3 - 0.9j, 0.2 + 0.4j, 0.3 + 0.9j),
    *(1.4 - 0.8j, 0.2 - 1.5j, -1.2 - 1.2j, 1.4 + 0.8j, 0.2 + 1.5j, -1.2 + 1.2j),
])  # fmt: skip
WINGS, FRONT_LEGS, KNEES, LEGS = [0, 1], [13, 16], [10, 12], np.arange(13, 19)
LEG_PHASE = np.pi * np.array([0, 1, 0, 1, 0, 1])  # two tripods


@dataclass(frozen=True)
class SimulatedFlies:
    """Tracked pairs and their causes; -1 or False where a slot is empty."""

    keypoints: np.ndarray  # (S, A, T, K, 2) float32; 20 positions in mm, 4 measures; NaN = not tracked
    actions: np.ndarray  # (S, A, T) int8, index into ACTIONS
    modes: np.ndarray  # (S, A, T) int8, index into MODES
    sex: np.ndarray  # (S, A) int8, 0 male, 1 female
    strain: np.ndarray  # (S,) int8, 0 or 1
    light: np.ndarray  # (S, T) int8, 0 or 1
    chase: np.ndarray  # (S, A, T) bool, in social mode and moving straight at another that moves within 5 mm


def simulate_flies(
    clips: int, *, frames: int = 4500, seed: int = 0, jitter: float = 1.0, gaps: float = 1.0
) -> SimulatedFlies:
    """Clips of 9 to 11 flies in 11 slots of a round arena; the same arguments give the same numbers.

    `jitter` scales the tracker's noise (0.005 mm at 1), `gaps` how often a fly or a part of it is lost; 0 = never.
    """
    bouts.check_arguments(("clips", clips, 1), ("frames", frames, 1), ("seed", seed, 0), jitter=jitter, gaps=gaps)
    schedule, motion, poses, noise, losses = np.random.default_rng(seed).spawn(5)
    strain = schedule.permutation((np.arange(clips) + schedule.integers(2)) % 2).astype(np.int8)
    present = schedule.random((clips, SLOTS)).argsort(1) < schedule.integers(FEWEST, SLOTS + 1, (clips, 1))
    sex = schedule.integers(0, 2, (clips, SLOTS), np.int8)
    light = bouts.draw(schedule, np.zeros((clips, frames), int), np.array([[[0, 1], [1, 0]]]), LIGHT_SPANS * FPS)
    modes = bouts.draw(schedule, light[:, None] + 2 * sex[..., None], MODE_FOLLOWS, MODE_SPANS * FPS)
    regime = modes + ((modes == SOCIAL) & (sex[..., None] == 0))
    actions = bouts.draw_by_strain(schedule, regime, strain, ACTION_FOLLOWS, ACTION_SPANS, FPS)
    centre, heading, chase = _move(motion, modes, actions, present)

    keypoints = np.empty((clips, SLOTS, frames, PAIRS, 2), np.float32)
    for c in range(clips):  # one clip at a time: poses of all clips at once would fill the memory
        pairs = _pose(poses, actions[c], STEP_HZ[strain[c]], centre[c], heading[c])
        keypoints[c] = _track(noise, losses, pairs, jitter, gaps)
    keypoints[~present] = np.nan
    actions[~present], modes[~present], sex[~present] = -1, -1, -1
    return SimulatedFlies(keypoints, actions, modes, sex, strain, light, chase)


def _move(rng: Generator, modes, actions, present):
    """(S, A, T) each: centre (complex, mm), heading (radians, unwrapped), whether the fly chases."""
    shape, frames = modes.shape, modes.shape[-1]
    pace = SPEED[actions] * bouts.hold(actions, rng.uniform(0.7, 1.3, shape)) / FPS
    wander = bouts.hold(actions, rng.normal(0, 1.0, shape)) / FPS
    spin = bouts.hold(actions, rng.uniform(4, 9, shape) * rng.choice([-1, 1], shape)) / FPS
    goes = (actions == WALK) | (actions == SING)
    social = modes == SOCIAL

    place = 0.8 * ARENA * np.sqrt(rng.random(shape[:2])) * np.exp(2j * np.pi * rng.random(shape[:2]))
    course = rng.uniform(-np.pi, np.pi, shape[:2])
    speed, turn = pace[..., 0], np.zeros(shape[:2])
    centre, heading, chase = np.empty(shape, complex), np.empty(shape), np.empty(shape, bool)
    nobody = np.where(present[:, None, :] & ~np.eye(SLOTS, dtype=bool), 0, np.inf)
    for t in range(frames):
        away = place[:, None, :] - place[:, :, None]
        distance = np.abs(away)
        nearest = np.argmin(distance + nobody, axis=2)[..., None]
        to = np.take_along_axis(away, nearest, 2)[..., 0]
        wall = np.abs(place + 4 * np.exp(1j * course)) > ARENA - 1
        error = np.angle(np.where(wall, -place, to) * np.exp(-1j * course))
        bend = np.where(wall | social[..., t], np.clip(0.15 * error, -0.06, 0.06), wander[..., t]) * goes[..., t]
        turn += 0.15 * (np.where(actions[..., t] == TURN, spin[..., t], bend) - turn)
        speed = speed + 0.1 * (pace[..., t] - speed)
        course = course + turn
        push = np.clip(2.5 - distance, 0, None) * away / np.maximum(distance, 0.1)  # bodies give way
        place = place + speed * np.exp(1j * course) - 0.05 * (push * np.isfinite(nobody)).sum(2)
        place = place * np.minimum(1, (ARENA - 1) / np.maximum(np.abs(place), 1))
        centre[..., t], heading[..., t] = place, course
        chase[..., t] = social[..., t] & ~wall & (np.abs(to) < NEAR) & (np.abs(error) < np.pi / 6)
        chase[..., t] &= (speed > 8 / FPS) & (np.take_along_axis(speed, nearest[..., 0], 1) > 4 / FPS)
    return centre, heading, chase & present[..., None]


def _pose(rng: Generator, actions, step_hz: float, centre, heading) -> np.ndarray:
    """The true pairs of one clip, (A, T, K) complex: 20 positions in mm, then the measures."""
    share = bouts.trailing_mean(np.eye(len(ACTIONS))[actions], SMOOTH)
    phase = bouts.rhythm(rng, actions, step_hz, FPS)[..., None]
    body = np.tile(BODY, (*actions.shape, 1))
    stride = bouts.trailing_mean(STRIDE[actions], SMOOTH)[..., None]
    body[..., LEGS] += stride * np.exp(1j * (phase + LEG_PHASE)).real
    body[..., KNEES] += 0.4 * stride * np.cos(phase + LEG_PHASE[[1, 4]])
    rub = (share[..., GROOM] * np.cos(bouts.rhythm(rng, actions, 6.0, FPS)))[..., None]
    body[..., FRONT_LEGS] += share[..., [GROOM]] * [0.2 + 0.6j, 0.2 - 0.6j] + rub * [0.15, -0.15]
    wing = share[..., [SING]] * (bouts.hold(actions, rng.integers(0, 2, actions.shape))[..., None] == [0, 1])
    body[..., WINGS] *= np.exp(1j * wing * [-1.2, 1.2])
    # sizes differ between individuals, not between sexes
    size = np.clip(rng.normal(1, 0.06, (len(actions), 1)), 0.85, 1.15)
    turned = np.exp(1j * heading)
    points = centre[..., None] + (size * turned)[..., None] * body
    breath = 1 + 0.01 * np.sin(bouts.rhythm(rng, actions, 1.0, FPS))
    major, minor = 2.6 * size * breath, 1.0 * size * breath
    area = np.pi / 4 * major * minor
    areas = area + 1j * (1.6 + 0.4 * wing.sum(-1)) * area
    bright = rng.normal(0.5, 0.05, (len(actions), 1)) + 0.05j * np.abs(centre)
    return np.concatenate([points, np.stack([centre, turned, major + 1j * minor, areas, bright], -1)], -1)


def _track(noise: Generator, losses: Generator, pairs, jitter: float, gaps: float) -> np.ndarray:
    """Tracked pairs of one clip, (A, T, K, 2) float32; NaN = not tracked."""
    seen = np.stack([pairs.real, pairs.imag], -1).astype(np.float32)
    seen += np.float32(0.005 * jitter) * noise.standard_normal(seen.shape, np.float32)
    seen[..., POINTS + 1, :] /= np.linalg.norm(seen[..., POINTS + 1, :], axis=-1, keepdims=True)  # the orientation
    begins = losses.random((2, *pairs.shape[:2])) < gaps * np.array([0.0002, 0.001])[:, None, None]
    for part, i, t in np.argwhere(begins):
        length = int(np.exp(losses.uniform(np.log(3), np.log(121))))
        first, width = (losses.integers(POINTS - 3), 3) if part else (0, PAIRS)  # some points or the whole fly
        seen[i, t : t + length, first : first + width] = np.nan
    return seen
