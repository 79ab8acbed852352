"""Operators of a model file (TFLite or ONNX) in execution order, as far as an `OpSpec` can say."""
