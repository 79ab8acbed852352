"""From float networks to int8 ones: folded graphs, affine quantisation, training with it."""
