"""The doctor: what is wrong with a training or with data, the likely cause first, each with its remedy."""
