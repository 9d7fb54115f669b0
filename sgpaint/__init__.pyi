from .agent.environment import PaintingEnv as PaintingEnv
from .agent.paint import paint as paint
from .agent.trained import load_agent as load_agent
from .agent.config import configure as configure
from .agent.training import train as train
from .search.optimize import optimize as optimize
from .stroke.painting import Painting as Painting

__version__: str
