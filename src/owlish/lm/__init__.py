"""Language models in memory: load, adapt, train, sample, score; knows no graph."""
