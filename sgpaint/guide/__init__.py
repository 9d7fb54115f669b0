"""guide: where the object of a picture is, and which pixels make its class.

>>> from sgpaint.guide import load_guidance, segment_images, train_segmenter
>>> known = load_guidance(load("birds", source="builtin"))     # masks, boxes and parts of a data set, cached
>>> masks, boxes = segment_images(train_segmenter(scenes), pictures)  # or predicted by a network
>>> maps = guided_maps(train_expert(images, labels, 8), pictures, classes)
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
