"""VertebralBMD: volumetric bone mineral density of L1 and L2 on CT. For research use only.

Importing this package imports neither torch, MONAI, Slicer nor Qt; the rooms that need them do so themselves.
"""

__version__ = "0.1.0"
