"""Looking inside: what a trained network computes, what it looks at, and which pictures it finds alike.

    from fastcnn import explain
    heat = explain.grad_cam(model, x_test[:1])
    explain.figures.heat_map(x_test[0], heat[0]).savefig("cam.png")

feature_maps filters features scores         what layers return and hold
saliency smooth_grad grad_cam hires_cam occlusion   what in a picture speaks for a class
activation_maximization deep_dream           pictures that excite a network (`Recipe`, `Dream`)
convolution work_convolution                 one pixel of a convolution, worked by hand
confusion_matrix                             how often each class is taken for each
Embeddings nearest                           the pictures that are most like another
gradients INPUT SCORES OUTPUT Place          a score of your own, and the gradient of it
figures                                      all of it drawn with matplotlib

Functions here return arrays; those of `figures` draw them. Everything runs on the model's device, in inference mode.
"""

from ..program import Place
from . import figures
from .attribution import grad_cam, hires_cam, occlusion, saliency, smooth_grad
from .classes import confusion_matrix
from .dreams import Dream, Recipe, activation_maximization, deep_dream
from .embeddings import Embeddings, Neighbours, nearest
from .inside import INPUT, OUTPUT, SCORES, feature_maps, features, filters, gradients, scores
from .worked import WorkedConvolution, convolution, work_convolution

__all__ = [
    "figures", "grad_cam", "hires_cam", "occlusion", "saliency", "smooth_grad", "confusion_matrix",
    "Dream", "Recipe", "activation_maximization", "deep_dream",
    "Embeddings", "Neighbours", "nearest",
    "INPUT", "OUTPUT", "SCORES", "Place", "feature_maps", "features", "filters", "gradients", "scores",
    "WorkedConvolution", "convolution", "work_convolution",
]  # fmt: skip
