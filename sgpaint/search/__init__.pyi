from .contribution import stroke_contributions as stroke_contributions
from .losses import LOSSES as LOSSES
from .losses import FeatureLoss as FeatureLoss
from .losses import check_loss as check_loss
from .objective import Constraints as Constraints
from .objective import Objective as Objective
from .polish import refine as refine
from .propose import propose_strokes as propose_strokes
