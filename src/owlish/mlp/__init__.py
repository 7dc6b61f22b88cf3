"""The perceptron laboratory: subliminal learning in small networks, on digits."""
