"""Run the tower of toys in the store that the command line names; killed by the tests."""

import sys

from toys import tower

from owlish.graph.run import run

if __name__ == "__main__":
    run(tower(), store=sys.argv[1], jobs=2)
