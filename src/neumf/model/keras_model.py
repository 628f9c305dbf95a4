"""Build a Keras model of a network."""

from __future__ import annotations

from typing import Any

from neumf.model.network import Network
from neumf.utils.arrays import Float32s


def build_keras_model(network: Network) -> Any:
    """Return a Keras model of (user index, item index) -> logit with these weights.

    The vectors of users from histories are constants, in the layer "user_after_last_row".
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name not in ("keras", "tensorflow"):
            raise ImportError(
                f"model_ is a Keras model: {error}. KERAS_BACKEND, or ~/.keras/keras.json, names a "
                "backend that is not installed. Set KERAS_BACKEND=tensorflow before Python starts, "
                "or install that backend."
            ) from error
        raise ImportError(
            f"model_ is a Keras model: {error}. Install what it needs: pip install tensorflow "
            "keras. Recommending and predicting need no Keras."
        ) from error

    # Start from zeros: Keras would draw initial values with Python's global generator.
    layers, shared = network.blueprint.layers, network.weights.shared
    g, of_histories = layers.n_factors, network.blueprint.users.reads_history
    user = keras.Input(shape=(), dtype="int32", name="user")
    item = keras.Input(shape=(), dtype="int32", name="item")

    def apply(layer: Any, inputs: Any, *weights: Float32s) -> Any:
        output = layer(inputs)
        layer.set_weights(weights)
        return output

    def embed(name: str, inputs: Any, table: Float32s) -> Any:
        layer = keras.layers.Embedding(*table.shape, embeddings_initializer="zeros", name=name)
        return apply(layer, inputs, table)

    def dense(name: str, inputs: Any, kernel: Float32s, bias: Float32s, activation: Any) -> Any:
        layer = keras.layers.Dense(len(bias), activation, kernel_initializer="zeros", name=name)
        return apply(layer, inputs, kernel, bias)

    halves = []
    if g:
        names = ("gmf_user", "gmf_item", "gmf")
        if of_histories:
            names = ("user_after_last_row", "item_vector", "product")
        of_user = embed(names[0], user, network.users[:, :g])
        of_item = embed(names[1], item, network.items[:, :g])
        halves.append(keras.layers.Multiply(name=names[2])([of_user, of_item]))
    if layers.hidden_layer_sizes:
        of_user = embed("mlp_user", user, network.users[:, g:])
        of_item = embed("mlp_item", item, network.item_vectors[:, g:])
        hidden = keras.layers.Concatenate(name="mlp_input")([of_user, of_item])
        for number in range(1, len(layers.hidden_layer_sizes) + 1):
            kernel, bias = shared[f"kernel_{number}"], shared[f"bias_{number}"]
            hidden = dense(f"mlp_layer_{number}", hidden, kernel, bias, "relu")
        halves.append(hidden)
    joined = keras.layers.Concatenate(name="neumf")(halves) if len(halves) > 1 else halves[0]
    logit = dense("logit", joined, layers.output_kernel(shared), shared["output_bias"], None)
    if layers.item_bias:
        bias = embed("item_bias", item, network.items[:, layers.width :])
        logit = keras.layers.Add(name="logit_with_bias")([logit, bias])
    flat = keras.layers.Reshape((), name="flat_logit")(logit)
    name = "neumf" if len(halves) > 1 else "gmf" if g else "mlp"
    return keras.Model([user, item], flat, name="next_item" if of_histories else name)
