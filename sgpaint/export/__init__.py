"""export: how a painting leaves, as picture, shapes, film, millimetres or page.

>>> from sgpaint.export import export
>>> export(painting, "me.png", size=(1024, 1024))              # the ending chooses: png json svg html csv gif webp mp4
>>> export(painting, "me.svg")                                 # outlines; the file states its error
>>> export(painting, "me.gif", every=5)                        # how it grows
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
