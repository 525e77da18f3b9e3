"""Data preparation, training, evaluation and export of the networks. MONAI is imported here and in the architecture only."""
