"""OpenCL devices, programs and launches."""
