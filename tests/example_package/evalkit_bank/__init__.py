"""What a bank adds to evalkit; configs/, benchmarks/ and prompts/ beside this file belong to it."""
