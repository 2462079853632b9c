"""Do the statistics keep their promises? Coverage, false verdicts and power on simulated benchmarks."""
