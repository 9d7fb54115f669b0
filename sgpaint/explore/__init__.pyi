from .drawing import MaskBrush as MaskBrush
from .drawing import PaintAlong as PaintAlong
from .guidance import AlignmentExplorer as AlignmentExplorer
from .guidance import FocusExplorer as FocusExplorer
from .painting import KappaExplorer as KappaExplorer
from .painting import RewardExplorer as RewardExplorer
from .painting import StrokeExplorer as StrokeExplorer
from .widget import Explorer as Explorer
