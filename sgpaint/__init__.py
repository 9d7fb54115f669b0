__version__ = "0.1.0"
__all__ = ["paint"]

TYPE_CHECKING = False  # true for type checkers alone: `import sgpaint` stays instant
if TYPE_CHECKING:
    from .agent.paint import paint as paint


def __getattr__(name):
    "`sgpaint.paint`, fetched when it is first asked for."
    if name == "paint":
        from .agent.paint import paint
        return paint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
