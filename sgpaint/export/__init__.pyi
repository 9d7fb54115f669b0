from .files import FORMATS as FORMATS
from .files import export as export
from .film import animate as animate
from .polylines import to_polylines as to_polylines
from .raster import ExportError as ExportError
from .svg import to_svg as to_svg
