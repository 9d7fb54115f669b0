"""study: several arms and seeds, comparisons of runs, and the gallery.

>>> from sgpaint.study import run_arms, train_arm, summary, compare, build_gallery
>>> results = run_arms(train_arm, {"l2": {"reward": "l2"}, "wgan": {"reward": "wgan"}}, seeds=[0, 1, 2], out_dir="runs/study")
>>> summary(results, ["held_out_error"])    # mean and standard error of every arm
>>> compare("runs/a", "runs/b")             # parameters, curves, metrics and paintings of two runs
>>> build_gallery("runs", "runs/gallery")   # static pages of every run
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
