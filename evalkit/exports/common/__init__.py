"""What several formats share: reading records, accuracy, facts, file names, the comparison table."""
