"""NumPy reference of every layer: the definition that the kernels are tested against."""
