"""The map as geometry: Web Mercator, what of the earth a view shows, and which dots stand together. Pure.

Lines are Natural Earth's at 1:50 million, in the package: no tile server learns who looks where. Nearer than a country
that is little more than a ground to stand on, so each library links to its place on a street map.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from math import atan, cos, degrees, exp, floor, hypot, log, log10, pi, radians, tan
from typing import Final

from shared.domain.nearby import EARTH_KM

LAT_MAX: Final = 85.0
"""Web Mercator ends near the poles; there is no library beyond."""
RATIO: Final = 4 / 3
"""Width by height of every map, so that shares of both mean the same on every screen."""
ZOOM_MAX: Final = 15
"""A view of about one kilometre."""
TOGETHER: Final = 0.085
"""Dots nearer than this share of the width are shown as one: on a phone 28 pixels, where a finger needs 24."""
MARGIN: Final = 0.15
"""Of the view's width, left free around the outermost dots."""
DETAIL: Final = 1 / 420
"""Of the view's width: what is smaller is not drawn."""
UNITS: Final = 1000
"""Of the drawing's width."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the unit square of Web Mercator: x to the east, y to the south."""

    x: float
    y: float

    @classmethod
    def of(cls, lat: float, lon: float) -> Spot:
        """Return the spot of a latitude and a longitude in degrees."""
        lat = min(max(lat, -LAT_MAX), LAT_MAX)
        return cls((lon + 180) / 360, (1 - log(tan(pi / 4 + radians(lat) / 2)) / pi) / 2)

    @property
    def lat_lon(self) -> tuple[float, float]:
        """Latitude and longitude in degrees."""
        return degrees(2 * atan(exp((1 - 2 * self.y) * pi)) - pi / 2), self.x * 360 - 180


@dataclass(frozen=True, slots=True)
class View:
    """What a map shows: the spot in its middle, and a zoom: its width is 2 ** -zoom of the world's."""

    middle: Spot
    zoom: int

    @property
    def width(self) -> float:
        """The width as a share of the world's."""
        return float(2**-self.zoom)

    @property
    def height(self) -> float:
        """The height in the same measure."""
        return self.width / RATIO

    def place(self, spot: Spot) -> tuple[float, float]:
        """Return where a spot stands, as shares of the width and of the height; outside of 0 to 1 it is not shown."""
        return (
            0.5 + (spot.x - self.middle.x) / self.width,
            0.5 + (spot.y - self.middle.y) / self.height,
        )

    def shows(self, spot: Spot) -> bool:
        """Tell whether a spot is on the map."""
        across, down = self.place(spot)
        return 0 <= across <= 1 and 0 <= down <= 1

    def moved(self, across: float, down: float, closer: int = 0) -> View:
        """Return a view so many of its own widths and heights away, and so many zooms closer."""
        spot = Spot(self.middle.x + across * self.width, self.middle.y + down * self.height)
        return view_at(spot, self.zoom + closer)


def scale_of(view: View) -> tuple[float, float]:
    """Return a round length in km, 1, 2 or 5 times a power of ten, and its share of the view's width (below 0.3)."""
    lat, _ = view.middle.lat_lon
    width_km = 2 * pi * EARTH_KM * cos(radians(lat)) * view.width
    power = 10.0 ** floor(log10(width_km * 0.3))
    length = max(power * each for each in (1, 2, 5) if power * each <= width_km * 0.3)
    return length, length / width_km


def view_at(middle: Spot, zoom: int) -> View:
    """Return a view whose middle stands on a grid of an eighth of its width, within the world.

    So there are few views of much of the world, which cost most to draw, and who pans back finds the one of before.
    """
    zoom = min(max(zoom, 0), ZOOM_MAX)
    grid = 2**-zoom / 8
    return View(
        Spot(*(min(max(round(each / grid) * grid, 0.0), 1.0) for each in (middle.x, middle.y))),
        zoom,
    )


def view_of(spots: Sequence[Spot]) -> View:
    """Return the closest view that shows all of these with a margin; the whole world for none."""
    if not spots:
        return view_at(Spot(0.5, 0.4), 0)
    west, east = min(each.x for each in spots), max(each.x for each in spots)
    north, south = min(each.y for each in spots), max(each.y for each in spots)
    middle = Spot((west + east) / 2, (north + south) / 2)
    for zoom in range(ZOOM_MAX - 2, 0, -1):
        view = view_at(middle, zoom)
        places = [view.place(Spot(x, y)) for x in (west, east) for y in (north, south)]
        if all(MARGIN <= share <= 1 - MARGIN for place in places for share in place):
            return view
    return view_at(middle, 0)


def groups(places: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Return the numbers of the places that are shown together: each with those near the first of its group."""
    found: list[list[int]] = []
    for number, (across, down) in enumerate(places):
        near = (
            group
            for group in found
            if hypot(places[group[0]][0] - across, (places[group[0]][1] - down) / RATIO) < TOGETHER
        )
        group = next(near, None)
        if group is None:
            found.append([number])
        else:
            group.append(number)
    return found


def position_of(text: str) -> tuple[float, float]:
    """Return latitude and longitude in degrees from "48.86,2.35". Raises ValueError for anything else."""
    lat, _, lon = text.partition(",")
    position = float(lat), float(lon)
    if not (-90 <= position[0] <= 90 and -180 <= position[1] <= 180):
        raise ValueError("is on no globe")
    return position


@dataclass(frozen=True, slots=True)
class Ground:
    """What a view shows of the earth, as SVG paths in UNITS; empty where there is none."""

    land: str
    borders: str
    width: int = UNITS
    height: int = round(UNITS / RATIO)


@lru_cache(maxsize=128)
def ground(view: View) -> Ground:
    """Return the land and the borders that a view shows."""
    earth = _earth()
    left, top = view.middle.x - view.width / 2, view.middle.y - view.height / 2
    box = (
        left - view.width * 0.02,
        top - view.height * 0.02,
        left + view.width * 1.02,
        top + view.height * 1.02,
    )

    def path(points: Iterable[tuple[float, float]]) -> str:
        drawn = [f"{round((x - left) / view.width * UNITS)} {round((y - top) / view.width * UNITS)}" for x, y in points]
        return "M" + "L".join(drawn) if len(drawn) > 1 else ""

    land = "".join(
        path(kept) + "Z"
        for shape in earth.land
        if shape.touches(box) and len(kept := list(_thinned(_clipped(shape.points, box), view.width * DETAIL))) > 2
    )
    borders = "".join(
        path(_thinned(run, view.width * DETAIL))
        for shape in earth.borders
        if shape.touches(box)
        for run in _runs(shape.points, box)
    )
    return Ground(land, borders)


Box = tuple[float, float, float, float]
"""West, north, east, south."""
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A ring or a line, and the box around it."""

    points: Points
    box: Box

    def touches(self, box: Box) -> bool:
        return self.box[0] <= box[2] and self.box[2] >= box[0] and self.box[1] <= box[3] and self.box[3] >= box[1]


@dataclass(frozen=True, slots=True)
class _Earth:
    land: list[_Shape]
    borders: list[_Shape]


@cache
def _earth() -> _Earth:
    """Read the packaged TopoJSON (version 1: arcs are quantised and delta-encoded; ~n is arc n the other way round)."""
    told = json.loads(gzip.decompress(files("services.api.pages").joinpath("earth.json.gz").read_bytes()))
    (scale_x, scale_y), (from_x, from_y) = told["transform"]["scale"], told["transform"]["translate"]

    def decoded(arc: list[int]) -> Points:
        x = y = 0
        points = []
        for at in range(0, len(arc), 2):
            x, y = x + arc[at], y + arc[at + 1]
            spot = Spot.of(y * scale_y + from_y, x * scale_x + from_x)
            points.append((spot.x, spot.y))
        return points

    arcs = [decoded(each) for each in told["arcs"]]

    def ring(numbers: list[int]) -> Points:
        points: Points = []
        for number in numbers:
            arc = arcs[number] if number >= 0 else arcs[~number][::-1]
            points += arc[1:] if points else arc
        return points

    return _Earth([_shape(ring(each)) for each in told["land"]], [_shape(arcs[each]) for each in told["borders"]])


def _shape(points: Points) -> _Shape:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return _Shape(points, (min(xs), min(ys), max(xs), max(ys)))


def _clipped(points: Points, box: Box) -> Points:
    """Return a ring cut to a box, by Sutherland and Hodgman (1974)."""
    for side in range(4):
        axis, limit, is_low = side % 2, box[side], side < 2
        kept: Points = []
        for number, point in enumerate(points):
            before = points[number - 1]
            is_in = point[axis] >= limit if is_low else point[axis] <= limit
            was_in = before[axis] >= limit if is_low else before[axis] <= limit
            if is_in != was_in:
                share = (limit - before[axis]) / (point[axis] - before[axis])
                kept.append((before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])))
            if is_in:
                kept.append(point)
        points = kept
        if not points:
            break
    return points


def _runs(points: Points, box: Box) -> Iterator[Points]:
    """Yield the stretches of a line that lie in a box, each with the point before it and the one behind it."""
    run: Points = []
    for number, (x, y) in enumerate(points):
        is_in = box[0] <= x <= box[2] and box[1] <= y <= box[3]
        if is_in and not run and number:
            run.append(points[number - 1])
        if is_in or run:
            run.append((x, y))
        if run and not is_in:
            yield run
            run = []
    if run:
        yield run


def _thinned(points: Points, least: float) -> Iterator[tuple[float, float]]:
    """Yield the points of a line that are so far from the one before, and its last."""
    last: tuple[float, float] | None = None
    for number, point in enumerate(points):
        is_far = last is None or abs(point[0] - last[0]) + abs(point[1] - last[1]) >= least
        if is_far or number == len(points) - 1:
            yield point
            last = point
