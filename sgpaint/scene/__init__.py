"""scene: what is painted, from one picture to data sets with masks, boxes, classes and parts.

>>> from sgpaint.scene import draw, load, open_picture
>>> bird = draw("birds", seed=7, size=(128, 128))     # a built-in scene with everything known about it
>>> images = load("cars", "train", size=64).images()  # (n, 3, 64, 64) bytes, cached
>>> picture = open_picture("me.jpg", size=128)        # any file as a tensor in [0, 1]
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
