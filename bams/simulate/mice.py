"""Behaviour of mice with known causes at every timescale: schedule -> motion -> pose -> tracker.

An action (0.2 to 3 s) sets posture, limb rhythm and speed; a mode (10 to 60 s) sets which action follows which. Two
causes of a whole clip are visible in the dynamics only. The strain sets the gait frequency (at equal speed and stride)
and the length of the bouts; the lights set which mode follows which, and how long modes last.

S clips, A individuals, T frames of 1/30 s, K = 12 keypoints; lengths in px; a point is x + iy. As in video, y points
down, so an animal's left has negative egocentric y.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from bams.simulate import bouts

KEYPOINTS: tuple[str, ...] = (
    *("nose", "left_ear", "right_ear", "neck", "left_forepaw", "right_forepaw", "centre_back"),
    *("left_hindpaw", "right_hindpaw", "tail_base", "tail_middle", "tail_tip"),
)
ACTIONS = ("still", "walk", "run", "turn", "groom", "rear")
MODES = ("rest", "explore", "social")
WALK, RUN, TURN, GROOM, REAR = range(1, 6)
SOCIAL, FOLLOW, AVOID = 2, 0, 1

FPS, ARENA, BODY = 30, 850.0, 90.0  # the arena's side and nose to tail base in px
GAIT_HZ = np.array([3.0, 5.0])  # by strain
# shortest and longest bout in seconds, before the stretch by strain
ACTION_SPANS = np.array([[0.4, 1.8], [0.4, 1.6], [0.3, 1.0], [0.2, 0.6], [0.5, 1.8], [0.4, 1.2]])
MODE_SPANS = np.array([[[10, 20], [20, 60], [20, 60]], [[30, 60], [10, 20], [10, 20]]])  # by lights
AIM_SPANS = np.array([[[4, 12], [2, 5]]])  # follow, avoid

# weights of what comes next, [from, to]
MODE_FOLLOWS = np.array([[[0, 5, 5], [2, 0, 8], [2, 8, 0]], [[0, 6, 4], [9, 0, 1], [9, 1, 0]]])
ACTION_FOLLOWS = np.array([  # by mode
    [[0, 1, 0, 2, 7, 0], [6, 0, 0, 2, 2, 0], [7, 2, 0, 1, 0, 0],
     [6, 1, 0, 0, 3, 0], [8, 0, 0, 2, 0, 0], [5, 0, 0, 2, 3, 0]],
    [[0, 6, 1, 2, 0, 1], [1, 0, 3, 2, 0, 4], [0, 7, 0, 2, 0, 1],
     [0, 6, 2, 0, 0, 2], [2, 5, 0, 2, 0, 1], [1, 5, 0, 3, 1, 0]],
    [[0, 3, 4, 2, 1, 0], [2, 0, 5, 3, 0, 0], [1, 6, 0, 3, 0, 0],
     [2, 3, 5, 0, 0, 0], [2, 3, 3, 2, 0, 0], [0, 4, 4, 2, 0, 0]],
])  # fmt: skip

SPEED = np.array([0.0, 5.0, 6.5, 0.5, 0.0, 0.0])  # by action, px per frame
STRIDE = np.array([0.0, 7.0, 12.0, 4.0, 0.0, 0.0])  # by action, amplitude of the paws, px
BACK, PAWS = 6, [4, 5, 7, 8]  # keypoints
PAW_PHASE = np.array([0.0, np.pi, np.pi, 0.0])  # diagonal paws together
SMOOTH = 5  # frames over which one posture turns into the next

# posture of each action, px: x of nose, ears, neck, forepaws, hindpaws, tail (3); half widths of ears, fore-, hindpaws
_TABLE = np.array([
    [46, 29, 22, 26, -18, -40, -72, -100, 10, 7, 14],  # still
    [50, 31, 24, 21, -23, -40, -76, -110, 9, 11, 14],  # walk
    [54, 34, 26, 24, -27, -42, -80, -116, 8, 9, 12],  # run
    [46, 29, 22, 20, -20, -38, -72, -104, 9, 12, 16],  # turn
    [35, 22, 16, 31, -14, -30, -62, -92, 11, 5, 16],  # groom
    [20, 12, 9, 15, -16, -26, -62, -96, 10, 8, 13],  # rear
])  # fmt: skip
POSTURES = np.insert(_TABLE[:, [0, 1, 1, 2, 3, 3, 4, 4, 5, 6, 7]], 6, 0, axis=1).astype(complex)
POSTURES[:, [1, 4, 7]] -= 1j * _TABLE[:, 8:]
POSTURES[:, [2, 5, 8]] += 1j * _TABLE[:, 8:]
# a posture alone says little about the action: actions differ in rhythm and speed above all
POSTURES = POSTURES.mean(0) + 0.1 * (POSTURES - POSTURES.mean(0))


@dataclass(frozen=True)
class SimulatedMice:
    """Tracked keypoints and their causes; the social classes of a frame follow from the true poses."""

    keypoints: np.ndarray  # (S, A, T, K, 2) float32, px in [1, 849]; NaN = not tracked
    actions: np.ndarray  # (S, A, T) int8, index into ACTIONS
    modes: np.ndarray  # (S, A, T) int8, index into MODES
    strain: np.ndarray  # (S,) int8, 0 or 1
    lights: np.ndarray  # (S,) int8, 0 or 1
    close: np.ndarray  # (S, T) bool, the backs of two mice are within 1.5 body lengths
    contact: np.ndarray  # (S, T) bool, the nose of one is within 0.2 body lengths of a point of another
    chase: np.ndarray  # (S, T) bool, one in social mode follows another that moves away
    approach: np.ndarray  # (S, T) bool, one in social mode nears another that does not flee


def simulate_mice(
    clips: int, *, frames: int = 1800, individuals: int = 3, seed: int = 0, jitter: float = 1.0, gaps: float = 1.0
) -> SimulatedMice:
    """Clips of mice in one arena; the same arguments give the same numbers.

    `jitter` is the tracker's noise in px and scales how often a keypoint jumps; `gaps` scales how often keypoints
    are lost. Neither changes what the mice do.
    """
    counts = (("clips", clips, 1), ("frames", frames, 1), ("individuals", individuals, 1), ("seed", seed, 0))
    bouts.check_arguments(*counts, jitter=jitter, gaps=gaps)
    schedule, motion, poses, noise, losses = np.random.default_rng(seed).spawn(5)
    causes = schedule.permutation((np.arange(clips) + schedule.integers(4)) % 4).astype(np.int8)
    strain, lights = np.divmod(causes, np.int8(2))  # every combination equally often
    tracks = (clips, individuals, frames)
    modes = bouts.draw(schedule, np.broadcast_to(lights[:, None, None], tracks), MODE_FOLLOWS, MODE_SPANS * FPS)
    actions = bouts.draw_by_strain(schedule, modes, strain, ACTION_FOLLOWS, ACTION_SPANS, FPS)
    centre, heading, rate = _move(motion, modes, actions)

    keypoints = np.empty((*tracks, len(KEYPOINTS), 2), np.float32)
    classes = np.empty((4, clips, frames), bool)
    for c in range(clips):  # one clip at a time: poses of all clips at once would fill the memory
        pose = _pose(poses, actions[c], GAIT_HZ[strain[c]], centre[c], heading[c], rate[c])
        classes[:, c] = _social_classes(pose, modes[c])
        keypoints[c] = _track(noise, losses, pose, jitter, gaps)
    return SimulatedMice(keypoints, actions, modes, strain, lights, *classes)


def _move(rng: Generator, modes: np.ndarray, actions: np.ndarray):
    """(S, A, T) each: centre (complex, px), heading (radians, unwrapped), change per frame."""
    shape = clips, individuals, frames = modes.shape
    aims = bouts.draw(rng, np.zeros(shape, int), np.array([[[0, 1], [1, 0]]]), AIM_SPANS * FPS)
    step = bouts.hold(aims, rng.integers(1, max(individuals, 2), shape))
    partner = (np.arange(individuals)[:, None] + step) % individuals
    social = (modes == SOCIAL) & (individuals > 1)
    goes = (actions == WALK) | (actions == RUN)
    pace = SPEED[actions] * bouts.hold(actions, rng.uniform(0.75, 1.25, shape))
    wander = bouts.hold(actions, rng.normal(0, 0.02, shape))
    spin = bouts.hold(actions, rng.uniform(0.06, 0.12, shape))
    sides, starts = rng.choice([-1.0, 1.0], shape), np.diff(actions, prepend=-1) != 0

    x, y = rng.uniform(150, ARENA - 150, (2, clips, individuals))
    place, course = x + 1j * y, rng.uniform(-np.pi, np.pi, (clips, individuals))
    speed, turn, side = pace[..., 0], np.zeros_like(course), sides[..., 0]
    centre, heading, rate = np.empty(shape, complex), np.empty(shape), np.empty(shape)
    for t in range(frames):
        to = np.take_along_axis(place, partner[..., t], 1) - place
        detour = np.where(np.abs(to) < 65, side * np.pi / 2, 0)  # round the partner instead of through it
        goal = np.angle(to) + np.where(aims[..., t] == AVOID, np.pi, detour)
        ahead = place + 90 * np.exp(1j * course)
        wall = ahead != _inside(ahead, 50)  # comes first: back to the middle
        goal = np.where(wall, np.angle((1 + 1j) * ARENA / 2 - place), goal)
        error = (goal - course + np.pi) % (2 * np.pi) - np.pi
        led = wall | (social[..., t] & ((aims[..., t] == FOLLOW) | (np.abs(to) < 300)))
        side = np.where(starts[..., t], np.where(led, np.sign(error), sides[..., t]), side)
        bend = np.where(led, np.clip(0.2 * error, -0.13, 0.13), wander[..., t]) * goes[..., t]
        bend = np.where(actions[..., t] == TURN, side * spin[..., t], bend)
        turn = turn + 0.4 * (bend - turn)
        speed = speed + 0.4 * (pace[..., t] - speed)
        course = course + turn
        place = place + speed * np.exp(1j * course)
        away = place[:, :, None] - place[:, None]  # bodies give way to one another
        overlap = np.clip(40 - np.abs(away), 0, None) / np.maximum(np.abs(away), 1)
        place = _inside(place + (0.3 * overlap * away).sum(2), 45)
        centre[..., t], heading[..., t], rate[..., t] = place, course, turn
    return centre, heading, rate


def _inside(points: np.ndarray, margin: float) -> np.ndarray:
    """Points (complex, px) clipped to the arena less a margin at each wall."""
    x, y = (np.clip(part, margin, ARENA - margin) for part in (points.real, points.imag))
    return x + 1j * y


def _pose(rng: Generator, actions, gait_hz: float, centre, heading, rate) -> np.ndarray:
    """True keypoints of one clip, (A, T, K) complex, px in [1, 849]."""
    mix = bouts.trailing_mean(np.eye(len(ACTIONS))[actions], SMOOTH)  # (A, T, 6) shares of the postures
    body = mix @ POSTURES * (1 + 0.1 * _drift(rng, actions.shape)[..., None])  # mice stretch and crouch at any time
    stride, phase = (mix @ STRIDE)[..., None], bouts.rhythm(rng, actions, gait_hz, FPS)[..., None]
    body[..., PAWS] += stride * np.cos(phase + PAW_PHASE)
    body[..., 7:10] += 0.15j * stride * np.sin(phase)  # the hips sway
    strokes = (mix[..., GROOM] * np.cos(bouts.rhythm(rng, actions, 7.0, FPS)))[..., None]
    body[..., [0, 4, 5]] += strokes * [2, 5, 5]
    body[..., :6] += 7 * (mix[..., REAR] * np.cos(bouts.rhythm(rng, actions, 2.0, FPS)))[..., None]
    body[..., 10:] += 1j * _drift(rng, actions.shape)[..., None] * [5, 12]  # the tail swings
    breath = 1 + 0.03 * np.sin(bouts.rhythm(rng, actions, 2.5, FPS))[..., None]
    # bend the spine into an arc: what lies at u along it is turned by u * curvature
    angle = (0.1 * rate + 0.002 * _drift(rng, actions.shape))[..., None] * body.real
    spine = body.real * np.sinc(angle / (2 * np.pi)) * np.exp(0.5j * angle)
    body = spine + 1j * breath * body.imag * np.exp(1j * angle)
    # sizes differ between individuals, not between strains
    size = np.clip(rng.normal(1, 0.08, (len(actions), 1)), 0.8, 1.2)
    return _inside(centre[..., None] + (size * np.exp(1j * heading))[..., None] * body, 1)


def _drift(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    """Slow noise (A, T) of unit variance: three sinusoids of 0.1 to 0.6 Hz."""
    hertz, start = (rng.uniform(low, high, (shape[0], 1, 3)) for low, high in ((0.1, 0.6), (0, 2 * np.pi)))
    time = np.arange(shape[1])[:, None] / FPS
    return np.sqrt(2 / 3) * np.sin(2 * np.pi * hertz * time + start).sum(-1)


def _social_classes(pose: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """close, contact, chase, approach of one clip as (4, T) bool, from true poses (A, T, K)."""
    place, classes = pose[..., BACK], np.zeros((4, pose.shape[1]), bool)
    velocity = (place - place[:, np.maximum(np.arange(pose.shape[1]) - SMOOTH, 0)]) / SMOOTH
    for i, j in np.argwhere(~np.eye(len(pose), dtype=bool)):
        to = place[j] - place[i]
        distance = np.abs(to)
        # speeds of both along the line from i to j
        gains, flees = (velocity[[i, j]] * to.conj()).real / np.maximum(distance, 1)
        after = (modes[i] == SOCIAL) & (distance < 3 * BODY) & (gains > 2)
        nose = np.abs(pose[i, :, :1] - pose[j]).min(1)
        classes |= [distance < 1.5 * BODY, nose < 0.2 * BODY, after & (flees > 2), after & (flees < 1)]
    return classes


def _track(noise: Generator, losses: Generator, pose, jitter: float, gaps: float) -> np.ndarray:
    """Tracked keypoints of one clip, (A, T, K, 2) float32, px in [1, 849]; NaN = not tracked."""
    seen = np.stack([pose.real, pose.imag], -1)
    seen += jitter * noise.standard_normal(seen.shape)
    jumps = noise.random(pose.shape) < 0.0003 * jitter
    seen[jumps] += noise.normal(0, 60, (jumps.sum(), 2))
    seen = np.clip(seen, 1, ARENA - 1)  # also keeps clear of (0, 0), which files use for missing

    place = pose[..., BACK]
    neighbours = (np.abs(place - place[:, None]) < BODY).sum(0) - 1
    chances = gaps * np.where(neighbours > 0, 5, 1) / np.array([1500, 400])[:, None, None]
    for part, i, t in np.argwhere(losses.random(chances.shape) < chances):
        length = int(np.exp(losses.uniform(np.log(3), np.log(61))))
        width = losses.integers(1, 5) if part else len(KEYPOINTS)  # a part or the whole animal
        first = losses.integers(len(KEYPOINTS) - width + 1)
        seen[i, t : t + length, first : first + width] = np.nan
    return seen.astype(np.float32)
