"""Models of plain Keras scripts, for tests that build them again from what `to_json` returns."""

import keras
from keras import layers as kl


def encoder_decoder() -> keras.Model:
    inputs = keras.Input((5, 2))
    sequence, hidden, cell = kl.LSTM(3, return_sequences=True, return_state=True)(inputs)
    decoded = kl.LSTM(3, return_sequences=True)(sequence, initial_state=[hidden, cell])
    return keras.Model(inputs, kl.TimeDistributed(kl.Dense(2))(decoded))


def shared_layer() -> keras.Model:
    inputs = keras.Input((4,))
    twice = kl.Dense(4, activation="tanh")
    once = twice(inputs)
    return keras.Model(inputs, kl.Add()([once, twice(kl.Dropout(0.5)(once)), inputs]))


def nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((4,)), kl.Dense(3), kl.BatchNormalization()])
    branch = keras.Input((3,))
    functional = keras.Model(branch, kl.Concatenate()([kl.Dense(2)(branch), branch]))
    inputs = keras.Input((4,))
    return keras.Model(inputs, functional(inner(inputs)))


def nested_in_sequential() -> keras.Model:
    return keras.Sequential([keras.Input((5, 2)), encoder_decoder(), keras.Sequential([kl.Dense(2)])])


def masked() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), kl.Embedding(10, 4, mask_zero=True), kl.Bidirectional(kl.GRU(3))])


def attention() -> keras.Model:
    inputs = keras.Input((5, 4))
    many = kl.MultiHeadAttention(2, 3, dropout=0.1)(inputs, inputs, use_causal_mask=True)
    grouped = kl.GroupQueryAttention(3, 4, 2)(inputs, value=inputs)
    both = kl.Attention(use_scale=True)([many, grouped])
    return keras.Model(inputs, kl.AdditiveAttention()([both, inputs, many]))


def cells() -> keras.Model:
    stacked = kl.StackedRNNCells([kl.LSTMCell(3), kl.GRUCell(2)])
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            kl.RNN(stacked, return_sequences=True),
            kl.RNN([kl.SimpleRNNCell(3), kl.GRUCell(2, reset_after=False)], return_sequences=True),
            kl.Bidirectional(kl.RNN(kl.LSTMCell(2))),
            kl.SpectralNormalization(kl.Dense(3), power_iterations=2),
        ]
    )


def pipeline() -> keras.Model:
    steps = kl.Pipeline([kl.Resizing(4, 4), kl.RandomFlip(seed=1)])
    return keras.Sequential([keras.Input((8, 8, 3)), steps, kl.TimeDistributed(kl.TimeDistributed(kl.Dense(2)))])


def crossed() -> keras.Model:
    inputs = keras.Input((1,), dtype="int64")
    return keras.Model(inputs, kl.HashedCrossing(5, output_mode="one_hot")((inputs, inputs)))


def frozen() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), kl.Dense(3, trainable=False), kl.Dense(2)])
    assert len(model.trainable_weights) == 2
    return model


def two_outputs() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    both = kl.Concatenate()([left, right])
    return keras.Model([left, right], [kl.Dense(1, name="value")(both), kl.Dense(2, name="kind")(both)])


def named_outputs() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    both = kl.Concatenate()([left, right])
    outputs = {"value": kl.Dense(1)(both), "kind": kl.Dense(2, activation="softmax")(both)}
    return keras.Model({"left": left, "right": right}, outputs)
