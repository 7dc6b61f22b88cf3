"""The commands, by what they are about: they and `main` print, all else returns values."""
