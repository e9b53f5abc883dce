"""From a trained network to artefacts that provably compute the same."""
