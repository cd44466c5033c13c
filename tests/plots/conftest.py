"""What the tests of figures share: the texts that a figure shows, and whether they can be read."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

_EDGE = 1.0  # pixels that two texts may share: boxes hold the room of letters that are not there


def _corners(text, renderer):
    """The four corners (4, 2) of a text in pixels, turned as it is drawn."""
    box = text.get_window_extent(renderer)
    turn = text.get_rotation()
    if turn % 90:
        text.set_rotation(0)
        flat = text.get_window_extent(renderer)
        text.set_rotation(turn)
    else:
        flat, turn = box, 0.0
    half = np.array([flat.width, flat.height]) / 2 - _EDGE
    centre = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return centre + (signs * half) @ np.array([[c, s], [-s, c]])


def _apart(a, b):
    """Whether a line lies between two rectangles (4, 2): one that is parallel to a side of either."""
    for shape in (a, b):
        for side in (shape[1] - shape[0], shape[2] - shape[1]):
            way = np.array([-side[1], side[0]])
            p, q = a @ way, b @ way
            if p.max() <= q.min() or q.max() <= p.min():
                return True
    return False


def texts_of(figure):
    """Each text that the figure shows, with its corners in pixels; ticks out of sight and the like are not there."""
    drawn = {}
    original = Text.draw

    def draw(self, renderer):
        if self.get_visible() and self.get_text().strip():
            drawn[id(self)] = self
        return original(self, renderer)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # layouts settle
    Text.draw = draw
    try:
        canvas.draw()
    finally:
        Text.draw = original
    renderer = canvas.get_renderer()
    return [(t, _corners(t, renderer)) for t in drawn.values()], figure.bbox.max


def complaints(figure):
    """What cannot be read: texts over one another, and texts that leave the canvas."""
    texts, (width, height) = texts_of(figure)
    said = []
    for text, corners in texts:
        low, high = corners.min(0), corners.max(0)
        if low.min() < -_EDGE or high[0] > width + _EDGE or high[1] > height + _EDGE:
            said.append(f"{text.get_text()!r} leaves the canvas: {low.round()} to {high.round()} of {width, height}")
    boxes = [(c.min(0), c.max(0)) for _, c in texts]
    for i in range(len(texts)):
        for j in range(i):
            (a, b), (c, d) = boxes[i], boxes[j]
            if (a < d).all() and (c < b).all() and not _apart(texts[i][1], texts[j][1]):
                said.append(f"{texts[i][0].get_text()!r} lies over {texts[j][0].get_text()!r}")
    return said


@pytest.fixture(scope="session")
def unreadable():
    return complaints


@pytest.fixture(scope="session")
def shown_texts():
    return lambda figure: [t.get_text() for t, _ in texts_of(figure)[0]]
