"""What a GGUF file really contains."""
