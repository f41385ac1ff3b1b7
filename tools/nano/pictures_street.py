"""Clips of streets, rooms and formless backgrounds: camera, scenery and people by chance, composed by distance."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from engine.sources.scene_figures import outlines
from engine.types import U8
from tools.nano.footage import MOST_PEOPLE, Footage
from tools.nano.pictures_lens import NEAREST_M, Lens, Shots, first_lens, shots
from tools.nano.pictures_painting import Light, Sprite, sprite
from tools.nano.pictures_people import Person, draw_person
from tools.nano.pictures_scenery import scenery
from tools.nano.pictures_surfaces import Stage, Still
from tools.nano.pictures_things import Thing, draw_thing, paint, ridden

NOBODY = 0.13
"""Share of clips without people."""


def street_footage(rng: np.random.Generator, frames: int, width: int, height: int) -> Footage:
    """A clip."""
    person_px = height * float(np.exp(rng.normal(math.log(0.25), 0.65)))
    lens, away_m = first_lens(rng, (width, height), float(np.clip(person_px, 0.045 * height, 1.6 * height)))
    moves = shots(rng, lens, frames)
    lasts_s = moves.step_s * max(frames - 1, 0)
    people = _people(rng, lens, away_m, lasts_s)
    if frames > 1 and len(people) > 1 and rng.random() < 0.5:
        people = _crossing(rng, people, lasts_s)
    distances = [math.hypot(*person.place(lasts_s / 2)) for person in people] or [away_m]
    hiding = _hiding(rng, people, lasts_s)
    still = scenery(rng, moves.wide, Stage(min(distances), max(distances), hiding))
    traffic = _traffic(rng, lens, away_m, lasts_s)
    return _Camera(rng, moves, still, (width, height)).film(people, traffic)


def _how_many(rng: np.random.Generator, *, moving: bool) -> int:
    if rng.random() < NOBODY:
        return 0
    if moving and rng.random() < 0.6:
        return int(rng.integers(3, 9))
    if rng.random() < 0.6:
        return int(rng.integers(1, 7))
    return int(rng.integers(6, MOST_PEOPLE + 1))


def _people(rng: np.random.Generator, lens: Lens, away_m: float, lasts_s: float) -> list[Person]:
    """Alone and in groups; in the field of view in the middle of the clip."""
    people: list[Person] = []
    wanted = _how_many(rng, moving=lasts_s > 0)
    half_view = 0.5 * lens.width / lens.focal_px
    spread = float(rng.uniform(0.05, 0.6))
    while len(people) < wanted:
        ahead = max(away_m * float(np.exp(rng.normal(0.05, spread))), 0.7)
        right = float(rng.uniform(-1.02, 1.02)) * half_view * math.hypot(ahead, lens.height_m)
        person = _there(draw_person(rng, (right, ahead)), lasts_s)
        people.append(person)
        group = int(rng.choice((0, 1, 2, 4), p=(0.52, 0.26, 0.14, 0.08)))
        for _ in range(min(group, wanted - len(people))):
            beside = (right + float(rng.normal(0, 0.55)), max(0.6, ahead + float(rng.normal(0, 0.5))))
            friend = draw_person(rng, beside)
            if friend.doing.action == person.doing.action and rng.random() < 0.7:
                friend = replace(friend, heading_rad=person.heading_rad, speed_m_s=person.speed_m_s)
            people.append(_there(friend, lasts_s))
    return people


def _there(person: Person, lasts_s: float) -> Person:
    """The same, but at this place in the middle of the clip."""
    way = person.place(-lasts_s / 2)
    return replace(person, start_xy_m=way)


def _crossing(rng: np.random.Generator, people: list[Person], lasts_s: float) -> list[Person]:
    """The first two, or three, walk across the picture and past each other in the middle of the clip."""
    moved = list(people)
    x_m, y_m = people[0].place(lasts_s / 2)
    for index in range(min(len(people), int(rng.integers(2, 4)))):
        heading = (1 - 2 * (index % 2)) * math.pi / 2 + float(rng.normal(0, 0.25))
        doing = replace(people[index].doing, action="walk" if rng.random() < 0.85 else "run")
        speed = float(rng.uniform(0.8, 1.8) if doing.action == "walk" else rng.uniform(2, 4))
        there = (x_m + float(rng.normal(0, 0.3)), max(0.6, y_m + 0.7 * index + float(rng.normal(0, 0.2))))
        person = replace(people[index], doing=doing, speed_m_s=speed, heading_rad=heading, start_xy_m=there)
        moved[index] = _there(person, lasts_s)
    return moved


def _hiding(rng: np.random.Generator, people: list[Person], lasts_s: float) -> tuple[Thing, ...]:
    """Something right before somebody, so that they go behind it."""
    if not people or rng.random() > (0.6 if lasts_s else 0.3):
        return ()
    things = []
    for _ in range(int(rng.integers(1, 3))):
        x_m, y_m = people[int(rng.integers(len(people)))].place(lasts_s * float(rng.uniform(0.3, 0.7)))
        share = float(rng.uniform(0.7, 0.95))
        kinds: tuple[str, ...] = (
            "pillar",
            "trunk",
            "bench",
            "sign",
            "bin",
            "post",
            "fence",
            "lamp",
            "stand",
            "chair",
        )
        if math.hypot(x_m, y_m) > 7 and rng.random() < 0.4:
            kinds = ("box", "cabinet", "car", "van", "fence", "table")
        kind = str(rng.choice(kinds))
        things.append(draw_thing(rng, (x_m * share, y_m * share), kind))
    return tuple(things)


def _traffic(
    rng: np.random.Generator, lens: Lens, away_m: float, lasts_s: float
) -> list[tuple[Thing, tuple[float, float]]]:
    """Vehicles that drive by, with their velocities."""
    if rng.random() > 0.15:
        return []
    half_view = 0.5 * lens.width / lens.focal_px
    made = []
    for _ in range(int(rng.integers(1, 3))):
        ahead = max(3.0, away_m * float(rng.uniform(0.5, 2.0)))
        speed = float(rng.uniform(2, 12)) * float(rng.choice((-1, 1)))
        right = float(rng.uniform(-0.9, 0.9)) * half_view * ahead - speed * lasts_s / 2
        made.append((draw_thing(rng, (right, ahead), str(rng.choice(("car", "van", "bus")))), (speed, 0.0)))
    return made


class _Camera:
    """Films what goes on before a still backdrop."""

    def __init__(self, rng: np.random.Generator, moves: Shots, still: Still, size: tuple[int, int]) -> None:
        self.moves, self.still, self.size = moves, still, size
        angle, steep = rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 1.3)
        sunny = rng.random() < 0.45
        self.light = Light(
            (math.sin(angle) * math.cos(steep), math.cos(angle) * math.cos(steep), math.sin(steep)),
            float(rng.uniform(0.2, 0.6) if sunny else rng.uniform(0.05, 0.3)),
            float(rng.uniform(0.2, 0.6)) if sunny else 0.0,
        )
        self.contact = float(rng.uniform(0.0, 0.5))
        self.exposed_s = float(rng.uniform(0.0, 0.03))
        self.brightness = float(np.exp(rng.normal(0, 0.15)))
        self.gain = _lamps(rng, size) if rng.random() < 0.3 else None

    def film(self, people: list[Person], traffic: list[tuple[Thing, tuple[float, float]]]) -> Footage:
        count, (width, height) = len(self.moves.lenses), self.size
        frames = np.empty((count, height, width, 3), np.uint8)
        ids = np.zeros((count, height, width), np.uint8)
        boxes = np.full((count, len(people), 4), np.nan, np.float32)
        body_px = np.zeros((count, len(people)), np.float32)
        for number, lens in enumerate(self.moves.lenses):
            time_s = number * self.moves.step_s
            picture, ahead_m = self._backdrop(lens)
            sprites = [sprite(person, lens, time_s, self.light) for person in people]
            order: list[tuple[float, int]] = [
                (one.ahead_m, index) for index, one in enumerate(sprites) if one is not None
            ]
            for _, index in order:
                self._shadows(picture, ahead_m, lens, people[index], time_s)
            driving = [thing.moved(velocity[0] * time_s, velocity[1] * time_s) for thing, velocity in traffic]
            for one in driving:
                ahead = float(lens.project(np.array([one.x_m, one.y_m, 0.5]))[2])
                order.append((ahead, -1 - driving.index(one)))
            for ahead, index in sorted(order, reverse=True):
                if index < 0:
                    self._drive(driving[-1 - index], lens, (picture, ids[number], ahead_m), ahead)
                    continue
                found = sprites[index]
                assert found is not None
                boxes[number, index] = found.full_box_xyxy
                body_px[number, index] = np.count_nonzero(found.opacity > 127)
                person = people[index]
                with_it = ridden(person.doing.action, person.place(time_s), person.heading_rad, person.seed)
                if with_it is not None:
                    self._drive(with_it, lens, (picture, ids[number], ahead_m), ahead)
                moved_px = self._moved_px(person, lens, time_s)
                _paste(found, moved_px, index + 1, (picture, ids[number], ahead_m), self.brightness)
            if self.gain is not None:
                picture = np.asarray(cv2.multiply(picture, self.gain, dtype=cv2.CV_8U), np.uint8)
            frames[number] = picture
        return Footage(frames, ids, boxes, body_px)

    def _backdrop(self, lens: Lens) -> tuple[U8, np.ndarray]:
        wide, still = self.moves.wide, self.still
        if lens == wide:
            return still.picture.copy(), still.ahead_m
        to_frame = wide.seen_from(lens)
        moved = cv2.warpPerspective(still.picture, to_frame, self.size, borderMode=cv2.BORDER_REFLECT_101)
        ahead = cv2.warpPerspective(
            still.ahead_m, to_frame, self.size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(moved, np.uint8), np.asarray(ahead, np.float32)

    def _moved_px(self, person: Person, lens: Lens, time_s: float) -> tuple[int, int]:
        """How far somebody moves in the picture while the shutter is open."""
        if not person.speed_m_s:
            return 1, 1
        now, later = person.place(time_s), person.place(time_s + self.exposed_s)
        seen = lens.project(np.array([[*now, 1.0], [*later, 1.0]]))
        across, down = np.abs(seen[1, :2] - seen[0, :2])
        return min(25, max(1, round(float(across)))), min(25, max(1, round(float(down))))

    def _drive(self, thing: Thing, lens: Lens, planes: tuple[U8, U8, np.ndarray], ahead: float) -> None:
        picture, ids, ahead_m = planes
        covered = np.zeros(ids.shape, np.uint8)
        painted = picture.copy()
        paint(thing, lens, painted, covered)
        chosen = (covered > 127) & (ahead_m > ahead)
        picture[chosen] = painted[chosen]
        ids[chosen] = 0

    def _shadows(self, picture: U8, ahead_m: np.ndarray, lens: Lens, person: Person, time_s: float) -> None:
        """At the feet, and away from the sun."""
        x_m, y_m = person.place(time_s)
        if self.contact > 0.05:
            around = np.linspace(0, 2 * np.pi, 14)
            radius = 0.2 * person.build.height_m
            ring = np.stack(
                [x_m + radius * np.cos(around), y_m + radius * np.sin(around), 0 * around], axis=-1
            )
            seen = lens.project(ring)
            if seen[:, 2].min() > NEAREST_M:
                self._darken(picture, ahead_m, [seen[:, :2]], (self.contact, float(seen[:, 2].max())))
        if not self.light.shadow:
            return
        _, joints, radii = person.limbs(time_s)
        towards = np.array(self.light.towards)
        seen = lens.project(joints - towards * (joints[..., 2:] / towards[2]))
        if seen[..., 2].min() < 1.0:
            return
        radii_px = 0.8 * radii * lens.focal_px / seen[..., 2]
        hulls = outlines(seen[:, 0, :2], seen[:, 1, :2], radii_px[:, 0], radii_px[:, 1])
        self._darken(picture, ahead_m, list(hulls), (self.light.shadow, float(seen[..., 2].max())))

    def _darken(
        self, picture: U8, ahead_m: np.ndarray, shapes: list[np.ndarray], by: tuple[float, float]
    ) -> None:
        share, ahead = by
        points = np.concatenate(shapes)
        size = float(np.ptp(points[:, 1]))
        low = np.maximum(np.floor(points.min(axis=0) - 3), 0).astype(int)
        high = np.minimum(np.ceil(points.max(axis=0) + 3), self.size).astype(int)
        if (high - low < 2).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        for shape in shapes:
            cv2.fillConvexPoly(mask, np.round((shape - low) * 8).astype(np.int32), 255, cv2.LINE_8, 3)
        soft = int(np.clip(size * 0.12, 1, 15)) | 1
        mask = np.asarray(cv2.blur(mask, (soft, soft)), np.uint8)
        area = slice(low[1], high[1]), slice(low[0], high[0])
        mask[ahead_m[area] < ahead] = 0
        window = picture[area]
        light = 1 - np.asarray(mask, np.float32) * np.float32(share / 255)
        picture[area] = cv2.multiply(window, cv2.merge([light, light, light]), dtype=cv2.CV_8U)


def _lamps(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """float32 (H, W, 3): brighter here, darker there, as lamps, windows and clouds make it."""
    cells = np.exp(rng.normal(0, rng.uniform(0.08, 0.3), (int(rng.integers(2, 6)), int(rng.integers(2, 8)))))
    gain = np.clip(cv2.resize(cells.astype(np.float32), size, interpolation=cv2.INTER_CUBIC), 0.2, 2.0)
    return np.asarray(cv2.merge([gain, gain, gain]), np.float32)


def _paste(
    one: Sprite, moved_px: tuple[int, int], number: int, planes: tuple[U8, U8, np.ndarray], brightness: float
) -> None:
    """Lay somebody over a frame, where nothing nearer stands."""
    picture, ids, ahead_m = planes
    rows, columns = one.opacity.shape
    area = slice(one.top, one.top + rows), slice(one.left, one.left + columns)
    opacity, bgr = one.opacity, one.bgr
    hidden = ahead_m[area] < one.ahead_m
    opacity[hidden] = 0
    ids[area][opacity > 127] = number
    if moved_px != (1, 1):
        bgr, opacity = np.asarray(cv2.blur(bgr, moved_px)), np.asarray(cv2.blur(opacity, moved_px))
        opacity[hidden] = 0
    weight = np.asarray(opacity, np.float32) * np.float32(1 / 255)
    window = np.ascontiguousarray(picture[area])
    lit = cv2.convertScaleAbs(bgr, alpha=brightness)
    picture[area] = cv2.blendLinear(lit, window, weight, 1 - weight)
