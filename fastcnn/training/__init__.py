"""Training: how a model is compiled, fed, fitted and evaluated.

trainer      `Trainer`, the part of a model that does so: compile, fit, evaluate, predict, *_on_batch
compilation  what the arguments of compile mean, output by output, and the names of the numbers in logs
data         arrays and generators become batches; everything about them is checked before anything runs
loop         one pass over the batches: training, evaluation, prediction
progress     what is printed meanwhile
"""
