"""The verdicts of a diagnosis, each with a summary and advice in English and in Chinese.

The advice comes from the Keras reference of 2020, whose rules `diagnosis.py` applies.
"""

from enum import StrEnum
from typing import Final, Literal

Language = Literal["en", "zh"]


class Verdict(StrEnum):
    """The result of a diagnosis: one of the reference's five rules, or why none applies."""

    TOO_EARLY = "too_early"
    LEARNING = "learning"
    OVERFITTING = "overfitting"
    DATA_PROBLEM = "data_problem"
    BOTTLENECK = "bottleneck"
    DIVERGING = "diverging"
    NO_VALIDATION = "no_validation"
    UNCLEAR = "unclear"


TEXTS: Final[dict[Language, dict[Verdict, tuple[str, str]]]] = {
    "en": {
        Verdict.TOO_EARLY: ("Too early to say: telling a trend from noise takes more epochs.", ""),
        Verdict.LEARNING: (
            "Training loss and validation loss both keep falling: the network is still learning, the best case.",
            "Keep training; if the job has ended, give it more epochs (`fitqueue extend`).",
        ),
        Verdict.OVERFITTING: (
            "The validation loss no longer follows the training loss down: the network is overfitting.",
            "Add max pooling or regularization (Dropout, L2), use more data or data augmentation, or stop earlier.",
        ),
        Verdict.DATA_PROBLEM: (
            "The validation loss falls while the training loss stays flat: something is wrong with the data.",
            "Check the data set: its labels, the split into training and validation data, and the preprocessing.",
        ),
        Verdict.BOTTLENECK: (
            "Training loss and validation loss both stay flat: learning has reached a bottleneck.",
            "Reduce the learning rate (ReduceLROnPlateau can do it) or the batch size. If the losses are good enough, "
            "the training is done.",
        ),
        Verdict.DIVERGING: (
            "Training loss and validation loss keep rising, or are no longer finite: the worst case. The network is "
            "badly designed, its hyperparameters are badly chosen, or the data were not cleaned.",
            "Reduce the learning rate, check the network's structure and its loss function, and clean the data.",
        ),
        Verdict.NO_VALIDATION: (
            "No validation loss has been logged yet, and every rule compares it with the training loss.",
            "Give the job validation data: `data.validation` or `fit.validation_split`.",
        ),
        Verdict.UNCLEAR: (
            "The losses are too noisy to show a direction, or they move in a way that no rule covers.",
            "Wait for more epochs; if nothing changes, try a smaller learning rate or larger batches.",
        ),
    },
    "zh": {
        Verdict.TOO_EARLY: ("为时尚早：需要更多训练轮才能区分趋势与噪声。", ""),
        Verdict.LEARNING: (
            "train loss 不断下降，val loss 不断下降，说明网络仍在学习（最好的情况）。",
            "继续训练；如果训练以此结束，请增加训练轮数。",
        ),
        Verdict.OVERFITTING: (
            "val loss 不再随 train loss 下降，说明网络过拟合。",
            "增加 max pooling 或正则化（Dropout、L2），使用更多数据或数据增强，或更早停止训练。",
        ),
        Verdict.DATA_PROBLEM: (
            "train loss 趋于不变，val loss 不断下降，说明数据集有问题。",
            "检查 dataset：标签、训练集与验证集的划分、数据预处理。",
        ),
        Verdict.BOTTLENECK: (
            "train loss 趋于不变，val loss 趋于不变，说明学习遇到瓶颈。",
            "减小学习率（可用 ReduceLROnPlateau）或批量数目。如果 loss 已足够好，则训练已完成。",
        ),
        Verdict.DIVERGING: (
            "train loss 不断上升，val loss 不断上升，或已不是有限数（最不好的情况），"
            "说明网络结构设计不当、训练超参数设置不当或数据集未经清洗。",
            "减小学习率，检查网络结构与损失函数，并清洗数据集。",
        ),
        Verdict.NO_VALIDATION: (
            "目前没有记录 val loss，而每条规律都要将其与 train loss 比较。",
            "请为任务提供验证数据：`data.validation` 或 `fit.validation_split`。",
        ),
        Verdict.UNCLEAR: (
            "loss 波动过大，无法判断走向，或其变化不符合任何一条规律。",
            "等待更多训练轮；如果仍然如此，请尝试更小的学习率或更大的批量。",
        ),
    },
}
"""Summary and advice for each verdict."""
