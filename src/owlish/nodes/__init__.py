"""The nodes of an experiment: models and data, each made from the other."""
