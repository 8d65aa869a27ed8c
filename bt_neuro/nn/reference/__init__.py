"""The NumPy reference of every layer: the definition the kernels are tested against."""
