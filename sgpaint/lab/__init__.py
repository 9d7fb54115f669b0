"""lab: how an experiment is set up, measured and kept.

>>> from sgpaint.lab import build, seed_everything, Run
>>> config = build(MyConfig, **parameters)      # a frozen dataclass; unknown and ill-typed parameters are refused
>>> with Run("runs/mine", as_dict(config)) as run:
...     run.log(step=1, error=0.1)              # config.json, metrics.csv, TensorBoard; killed runs resume
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
