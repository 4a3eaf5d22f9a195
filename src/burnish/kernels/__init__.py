"""Small C kernels for the CPU, compiled once on the machine that runs them.

Everything here has a plain path in torch, which is taken where no compiler is available.
"""
