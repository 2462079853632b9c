"""The subcommands of `evalkit judge`."""
