"""From a teacher's answers to training sets: Fin-R1's way from DeepSeek-R1 to its data, as its card tells it.

Two checks, each verdict with its reason: is the answer right (a rule where one decides, else a judge), and is
the reasoning good (seven criteria, a judge). Good and good goes into the set for supervised fine-tuning, all
else into the set for reinforcement learning. Before anything is written, duplicates and evaluation items go.
"""
