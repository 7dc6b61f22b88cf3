"""The error that is told to the user as one sentence."""


class UserError(ValueError):
    """What the user asked for cannot be done; the message says why and what to do.

    The command line prints the message alone and exits with 2. Any other exception is a fault of owlish: its trace is
    shown and the exit code is 70.
    """
