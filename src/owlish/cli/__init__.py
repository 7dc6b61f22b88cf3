"""The command line: it prints, the library returns values."""
