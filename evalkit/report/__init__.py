"""What people read of runs, comparisons and sweeps: files, figures, the terminal."""
