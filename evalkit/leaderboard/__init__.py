"""All that is derived under results/: from run records and published tables to tables, site and files."""
