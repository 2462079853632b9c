"""Where a run's engines are: one on this machine, or many on the machines of a Ray cluster.

Ray places, restarts and scales the workers. Nothing here schedules machines: `crew` hands prefix groups to
the workers that there are, and takes back what a lost worker had not finished.
"""
