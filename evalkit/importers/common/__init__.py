"""What the formats share: outputs, typed fields, bounded files, and writing the result."""
