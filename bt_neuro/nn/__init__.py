"""The network: layers, optimizers, losses, kernels, and the NumPy reference of the same mathematics."""
