"""From a trained pair to files that run elsewhere: ONNX, TFLite, C, and their proof."""
