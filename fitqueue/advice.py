"""What a diagnosis can be, and how it is put to people: a summary and an advice each, in English and in Chinese.

The advice is that of the Keras reference of 2020, whose rules `diagnosis.py` follows.
"""

from enum import StrEnum
from typing import Final, Literal

Language = Literal["en", "zh"]


class Verdict(StrEnum):
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
        Verdict.TOO_EARLY: ("Too early to say: it takes more epochs to tell a trend from noise.", ""),
        Verdict.LEARNING: (
            "Training loss and validation loss keep falling: the network still learns. Nothing could be better.",
            "Let it train on; if it ends like this, give it more epochs.",
        ),
        Verdict.OVERFITTING: (
            "The validation loss no longer follows the training loss down: the network overfits.",
            "Add max pooling or regularization (Dropout, L2), use more or augmented data, or stop earlier.",
        ),
        Verdict.DATA_PROBLEM: (
            "The validation loss falls while the training loss stands still: something is wrong with the data.",
            "Check the data set: labels, how training and validation data were split, what was prepared how.",
        ),
        Verdict.BOTTLENECK: (
            "Training loss and validation loss stand still: the learning has met a bottleneck.",
            "Reduce the learning rate (ReduceLROnPlateau does) or the batch size. If the losses are good, it is done.",
        ),
        Verdict.DIVERGING: (
            "Training loss and validation loss keep rising, or are no finite numbers any more: the worst case. The "
            "network is designed badly, its hyperparameters are set badly, or the data were not cleaned.",
            "Reduce the learning rate, check the network's structure and the loss, and clean the data.",
        ),
        Verdict.NO_VALIDATION: (
            "No validation loss was logged so far, and every rule compares it with the training loss.",
            "Give the job validation data: `data.validation`, or `fit.validation_split`.",
        ),
        Verdict.UNCLEAR: (
            "The losses swing too much to tell where they go, or move as no rule says.",
            "Wait for more epochs; if it stays like this, try a smaller learning rate or larger batches.",
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
