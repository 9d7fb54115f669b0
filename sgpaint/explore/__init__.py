"""explore: Jupyter widgets to look into one part of the method.

>>> from sgpaint.explore import StrokeExplorer, AlignmentExplorer, PaintAlong
>>> StrokeExplorer(painting, target)        # scrub, play and edit the strokes of a painting
>>> AlignmentExplorer("me.jpg")             # drag a box over a picture, see the matrix of Eq 21 and the crop
>>> PaintAlong("me.jpg", strokes=20)        # paint by hand, and race against the optimizer
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
