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
    CONVERGED = "converged"
    DIVERGING = "diverging"
    NO_VALIDATION = "no_validation"
    UNCLEAR = "unclear"


TEXTS: Final[dict[Language, dict[Verdict, tuple[str, str]]]] = {
    "en": {
        Verdict.TOO_EARLY: ("Too early to say: in fewer than five epochs, a trend looks like noise.", ""),
        Verdict.LEARNING: (
            "Training loss and validation loss both keep falling: the network is still learning, the best case.",
            "Keep training; if the job has ended, give it more epochs (`fitqueue extend`).",
        ),
        Verdict.OVERFITTING: (
            "The validation loss no longer follows the training loss down: the network is overfitting.",
            "Add max pooling or regularization (Dropout, L2), or use more data or data augmentation. Until then, the "
            "best epoch has better weights than the last one.",
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
        Verdict.CONVERGED: (
            "The training has run its course: the losses fell and now stand still, or the learning rate has become too "
            "small to move them.",
            "Use the weights of the best epoch. For lower losses, change the model or the data, or start again with "
            "another learning rate.",
        ),
        Verdict.DIVERGING: (
            "Training loss and validation loss keep rising, or the losses or weights are NaN or infinite: the worst "
            "case. The network is badly designed, its hyperparameters are badly chosen, or the data were not cleaned.",
            "Reduce the learning rate, check the network's structure and its loss function, and clean the data.",
        ),
        Verdict.NO_VALIDATION: (
            "No validation loss has been logged yet, and every rule compares it with the training loss.",
            "Give the job validation data: `data.validation` or `fit.validation_split`.",
        ),
        Verdict.UNCLEAR: (
            "The losses are too noisy to show a direction, or they move in a way that no rule covers.",
            "If it stays so, try a smaller learning rate or larger batches, which make the losses less noisy.",
        ),
    },
    "zh": {
        Verdict.TOO_EARLY: ("为时尚早：少于五个训练轮时，无法区分趋势与噪声。", ""),
        Verdict.LEARNING: (
            "train loss 不断下降，val loss 不断下降，说明网络仍在学习（最好的情况）。",
            "继续训练；如果训练以此结束，请增加训练轮数。",
        ),
        Verdict.OVERFITTING: (
            "val loss 不再随 train loss 下降，说明网络过拟合。",
            "增加 max pooling 或正则化（Dropout、L2），或使用更多数据或数据增强。"
            "在此之前，最佳训练轮的权重优于最后一轮。",
        ),
        Verdict.DATA_PROBLEM: (
            "train loss 趋于不变，val loss 不断下降，说明数据集有问题。",
            "检查 dataset：标签、训练集与验证集的划分、数据预处理。",
        ),
        Verdict.BOTTLENECK: (
            "train loss 趋于不变，val loss 趋于不变，说明学习遇到瓶颈。",
            "减小学习率（可用 ReduceLROnPlateau）或批量数目。如果 loss 已足够好，则训练已完成。",
        ),
        Verdict.CONVERGED: (
            "训练已收敛：loss 下降后趋于不变，或学习率已小到无法再改变 loss。",
            "请使用最佳训练轮的权重。若要进一步降低 loss，请修改模型或数据，或以其他学习率重新训练。",
        ),
        Verdict.DIVERGING: (
            "train loss 不断上升，val loss 不断上升，或它们或权重已不是有限数（最不好的情况），"
            "说明网络结构设计不当、训练超参数设置不当或数据集未经清洗。",
            "减小学习率，检查网络结构与损失函数，并清洗数据集。",
        ),
        Verdict.NO_VALIDATION: (
            "目前没有记录 val loss，而每条规律都要将其与 train loss 比较。",
            "请为任务提供验证数据：`data.validation` 或 `fit.validation_split`。",
        ),
        Verdict.UNCLEAR: (
            "loss 波动过大，无法判断走向，或其变化不符合任何一条规律。",
            "如果一直如此，请尝试更小的学习率或更大的批量，以减小 loss 的波动。",
        ),
    },
}
"""Summary and advice for each verdict."""

NON_FINITE_DATA: Final[dict[Language, tuple[str, str]]] = {
    "en": (
        "The losses or weights are NaN or infinite, and so are values of the data.",
        "Clean the data: drop the samples with NaN or infinite values, or fill these in, and submit the job again.",
    ),
    "zh": (
        "loss 或权重已不是有限数，而数据集中也有非有限数（NaN 或无穷大）。",
        "清洗数据集：删除或填补含 NaN 或无穷大的样本，然后重新提交任务。",
    ),
}
"""Summary and advice if the loss or the weights are not finite and the data is known to be the cause."""

TEXTS_AFTER_STOP: Final[dict[Language, dict[Verdict, tuple[str, str]]]] = {
    "en": TEXTS["en"]
    | {
        Verdict.LEARNING: (
            "Training loss and validation loss were both still falling when a callback stopped the training.",
            "Use the weights of the best epoch. If it stopped too soon, change the callback: EarlyStopping tolerates "
            "more noise with a larger `patience`, and sees smaller improvements with a smaller `min_delta`.",
        ),
        Verdict.UNCLEAR: (
            "A callback stopped the training, and the losses do not show whether it was finished.",
            "Use the weights of the best epoch. EarlyStopping with a larger `patience` would show more.",
        ),
    },
    "zh": TEXTS["zh"]
    | {
        Verdict.LEARNING: (
            "回调函数停止训练时，train loss 与 val loss 仍在下降。",
            "请使用最佳训练轮的权重。如果停止得过早，请修改回调函数：EarlyStopping 的 `patience` 越大，越能容忍噪声；"
            "`min_delta` 越小，越能识别微小的提升。",
        ),
        Verdict.UNCLEAR: (
            "回调函数停止了训练，而 loss 无法说明训练是否已完成。",
            "请使用最佳训练轮的权重。增大 EarlyStopping 的 `patience` 可看得更清楚。",
        ),
    },
}
"""The same for a job that a callback ended: to advise it more epochs would contradict the callback."""
