"""sgpaint: learn, and experiment with, how machines paint.

The three first calls:

>>> from sgpaint import paint
>>> painting = paint("me.jpg", strokes=200)       # any picture, stroke by stroke, in seconds

>>> from sgpaint import configure, train
>>> result = train(configure(dataset="birds"))    # train an agent by reinforcement learning, in minutes

>>> from sgpaint import load_agent
>>> agent = load_agent("runs/first")              # a trained agent; sgpaint.agent.paint_with(agent, "me.jpg") paints

Each package has the same form: `dir(sgpaint.stroke)` lists what a user should import, `help(sgpaint.stroke)` begins
with the first calls. Importing `sgpaint` imports nothing else; each name is loaded when it is first used.
"""
import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
