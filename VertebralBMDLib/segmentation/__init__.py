"""Segmentation engines and the naming of vertebral levels."""
