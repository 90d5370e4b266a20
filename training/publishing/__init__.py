"""From a trained model to a bundle in the store."""
