"""Callbacks: what happens beside training, at the moments that Keras names.

    callback      Callback: the base, on_{train,epoch,train_batch,test,test_batch,predict,predict_batch}_{begin,end}
                  CallbackList: calls many, each only at the moments that it overrides
                  states, restore: what a checkpoint keeps of callbacks
    records       History: the numbers of every epoch;  CSVLogger: a row an epoch
    monitors      EarlyStopping, ModelCheckpoint, ReduceLROnPlateau: follow one number
    actions       LearningRateScheduler, TerminateOnNaN, LambdaCallback
    tensorboard   TensorBoard: curves, histograms and pictures of weights, the graph

A callback that remembers something from epoch to epoch lists it in `state_fields`: `state()` goes into a checkpoint, and
`restore()` before the next `fit` lets it continue as if training had never stopped.
"""

from .actions import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from .callback import HOOKS, Callback, CallbackList, Logs, restore, states
from .monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from .records import CSVLogger, History
from .tensorboard import TensorBoard

__all__ = [
    "HOOKS", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
    "Logs", "ModelCheckpoint", "ReduceLROnPlateau", "TensorBoard", "TerminateOnNaN", "restore", "states",
]  # fmt: skip
