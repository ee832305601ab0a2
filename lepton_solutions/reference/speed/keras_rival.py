"""Keras 3 on TensorFlow, in an environment of its own: run by `keras_env.py` there, without anything of ours.

    python keras_rival.py digits.npz SEED               784-128-10, batches of 32, 10 epochs
    python keras_rival.py case.npz mlp EPOCHS           a case of the speed bench

Reads arrays, prints one JSON line: seconds of training up to the end of each epoch, test accuracy there, versions.
"""

import json
import os
import sys
import time
from collections.abc import Mapping

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow
from keras import layers


class Clock(keras.callbacks.Callback):
    """Seconds of training at the end of each epoch; the evaluation in between does not count."""

    def __init__(self, test: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        super().__init__()
        self.test, self.lost = test, 0.0
        self.ends: list[float] = []
        self.accuracy: list[float] = []

    def on_train_begin(self, logs: object = None) -> None:
        self.start = time.perf_counter()

    def on_test_begin(self, logs: object = None) -> None:
        self.testing = time.perf_counter()

    def on_test_end(self, logs: object = None) -> None:
        self.lost += time.perf_counter() - self.testing

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        arrived = time.perf_counter()
        self.ends.append(arrived - self.start - self.lost)
        if self.test is not None:
            digits = self.model.predict(self.test[0], batch_size=1000, verbose=0).argmax(1)
            self.accuracy.append(float((digits == self.test[1]).mean()))
        self.lost += time.perf_counter() - arrived


def digits(arrays: Mapping[str, np.ndarray], seed: int) -> Clock:
    """The script that this project's mission starts from. Its validation does not count."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [layers.Input((28, 28)), layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock((arrays["test_x"], arrays["test_y"]))
    model.fit(arrays["x"], arrays["y"], batch_size=32, epochs=10, validation_split=0.1, verbose=0, callbacks=[clock])
    return clock


def block(x: keras.KerasTensor, width: int, shortcut: bool, stride: int) -> keras.KerasTensor:
    """Two convolutions with batch norm, and the way round them (He et al. 2016)."""
    out = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
    out = layers.ReLU()(layers.BatchNormalization()(out))
    out = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(out))
    if shortcut:
        x = layers.BatchNormalization()(layers.Conv2D(width, 1, stride, use_bias=False)(x))
    return layers.ReLU()(layers.Add()([out, x]))


def network(case: str, shape: tuple[int, ...]) -> keras.Model:
    """The network of a case, as Keras has it: channels last, recurrent layers of its own."""
    if case == "mlp":
        inputs = layers.Input(shape)
        x = layers.Dense(128, "relu")(layers.Dense(128, "relu")(inputs))
    elif case == "lstm":
        inputs = layers.Input(shape)
        x = layers.LSTM(64)(layers.LSTM(64, return_sequences=True)(inputs))
    elif case == "resnet18":
        inputs = layers.Input((*shape[1:], 1))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 3, padding="same", use_bias=False)(inputs)))
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            x = block(block(x, width, stride > 1, stride), width, False, 1)
        x = layers.GlobalAveragePooling2D()(x)
    else:
        inputs = x = layers.Input((*shape[1:], 1))
        for width in (16, 32, 64):
            x = layers.Conv3D(width, 3, padding="same", use_bias=False)(x)
            x = layers.MaxPooling3D()(layers.ReLU()(layers.BatchNormalization()(x)))
        x = layers.GlobalAveragePooling3D()(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def timed(case: str, arrays: Mapping[str, np.ndarray], epochs: int) -> Clock:
    """A case of the bench, with Adam and the same batches."""
    x, shape = arrays["x"], arrays["x"].shape[1:]
    if case in ("resnet18", "cnn3d"):
        x = np.moveaxis(x, 1, -1).copy()
    model = network(case, shape)
    loss = "mse" if case == "lstm" else keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    clock = Clock()
    model.fit(x, arrays["y"], batch_size=int(arrays["batch_size"]), epochs=epochs, verbose=0, callbacks=[clock])
    return clock


if __name__ == "__main__":
    found: Mapping[str, np.ndarray] = np.load(sys.argv[1])
    clock = digits(found, int(sys.argv[2])) if len(sys.argv) == 3 else timed(sys.argv[2], found, int(sys.argv[3]))
    versions = {"keras": keras.__version__, "tensorflow": tensorflow.__version__}
    print(json.dumps({"ends": clock.ends, "accuracy": clock.accuracy, "versions": versions}))
