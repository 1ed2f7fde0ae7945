from thinkseg.evaluation.measures.base import Measure, mean_of_extra


def dice_of(pred, target):
    both = pred.sum() + target.sum()
    return 2 * (pred & target).sum() / both if both else 1.0


dice = Measure("Dice", "Mean Dice.", mean_of_extra("dice"), extra={"dice": dice_of})
