"""One module per command: `HELP`, the text of --help, and `main(arguments) -> exit code`."""
