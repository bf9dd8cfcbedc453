"""ResNet20 (He, Zhang, Ren and Sun 2016) on CIFAR-10 in twelve epochs.

    python examples/cifar10_resnet20.py            seconds, on the bundled digits
    python examples/cifar10_resnet20.py --real     12 epochs of CIFAR-10; killed and started again, it goes on

The paper trains 164 epochs. Twelve are enough for four fifths of the test pictures where the learning rate rises and falls once
(Smith and Topin 2018). The epoch is chosen by 5,000 pictures held out of the training set; the test set is read once, at the
end.
"""

import runs

from fastcnn import applications, layers, models, optimizers
from fastcnn.utils import set_random_seed

options = runs.arguments(__doc__, epochs=12, small_epochs=3)
data = runs.parts(options.real)
set_random_seed(options.seed)

model = models.Sequential(
    [
        layers.Input((32, 32, 3)),
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.125, 0.125, fill_mode="constant", interpolation="nearest"),
        applications.ResNet20(),
    ]
)
steps = options.epochs * -(-len(data.train[0]) // options.batch_size)
# Weights decay beside the momentum, not through it: ten times the usual 5e-4 is as much as that is with a momentum of 0.9.
sgd = optimizers.SGD(optimizers.schedules.OneCycle(0.1, steps), momentum=0.9, nesterov=True, weight_decay=5e-3)
sgd.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
print(f"{model.count_params():,} parameters and moving statistics")

best, history = runs.train(model, data, options)
runs.report(best, data, history)
