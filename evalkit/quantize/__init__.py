"""A ladder of GGUF files from one source file, through llama.cpp's own quantizer."""
