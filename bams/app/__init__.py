"""The command line: what each script does with its settings, from reading files to writing results."""
