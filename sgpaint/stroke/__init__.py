"""stroke: what a stroke is, and how it becomes pixels.

>>> from sgpaint.stroke import Painting, blank, paint, random_strokes
>>> canvas = paint(blank(1, (128, 128)), random_strokes(20))   # differentiable, exact, (1, 3, 128, 128)
>>> painting = Painting(random_strokes(20)[0], (128, 128))     # strokes as data: draw at any size, save, play
>>> painting.render((512, 512))
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
