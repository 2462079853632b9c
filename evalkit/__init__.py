"""evalkit: which quantized file of a financial reasoning model to deploy, with error bars."""

__version__ = "0.1.0"
