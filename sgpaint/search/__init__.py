"""search: strokes for a picture, found by gradient through the renderer, without learning.

>>> from sgpaint.search import Constraints, optimize, refine
>>> painting = optimize("me.jpg", strokes=200)                 # proposed where the error is, moved by Adam, coarse to fine
>>> poster = optimize("me.jpg", constraints=Constraints(palette=((0.1, 0.1, 0.2), (0.9, 0.3, 0.2), (1.0, 0.9, 0.8))))
>>> better = refine(painting, "me.jpg", steps=100)             # the strokes of any painting move, nothing else changes
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
