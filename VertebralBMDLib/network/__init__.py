"""The 3D ResUNets: architecture for training, TorchScript for use. The only room besides training that imports torch."""
