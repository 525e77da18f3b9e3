"""The steps of the panel, one file each. Qt and slicer are imported here and in VertebralBMD.py only."""
