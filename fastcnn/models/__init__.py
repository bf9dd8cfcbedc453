"""Models: graphs of layers that are trained, evaluated, saved and asked for predictions.

model        Model(inputs, outputs), the functional way
sequential   Sequential, a stack of layers
functional   the graph between a model's inputs and outputs
summary      the table of `model.summary()`
cloning      clone_model model_from_json load_model
"""

from .cloning import clone_model, load_model, model_from_json
from .model import Model
from .sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json"]
