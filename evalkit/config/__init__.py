"""The composed Hydra config, typed: overrides, settings and what of them makes a run, KEY=VALUE arguments."""
