"""Who paints, and how does it learn? The environment, the agent, its training, and painting with it.

The first calls:

>>> from sgpaint.agent import configure, train
>>> result = train(configure(updates=200, size=32))     # a run directory with an agent, figures and pictures

>>> from sgpaint.agent import load_agent, paint_with, shipped_agent
>>> painting = paint_with(shipped_agent(), "me.jpg")    # or load_agent("runs/first")

>>> from sgpaint.agent import PaintingEnv
>>> env = PaintingEnv(strokes=100)                      # reset, step, observe: painting as a decision process
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
