"""Names of measures that go together. Nothing is imported, so that the command line can list benchmarks at once."""

MASK_MEASURES = ("giou", "ciou", "s_measure", "mae", "parse_failures", "correct_abstentions", "false_abstentions")
"""What a report of masks has, where a benchmark names no others."""
F_AND_E_MEASURES = ("mean_f", "max_f", "adaptive_f", "mean_e", "max_e", "adaptive_e")
SALIENCY_MEASURES = ("s_measure", "weighted_f", *F_AND_E_MEASURES, "mae", "mba", "biou")
"""What papers on foreground segmentation have, but for HCE, which takes seconds for a large image."""
FOREGROUND_MEASURES = (*SALIENCY_MEASURES, "giou", "ciou", "parse_failures", "false_abstentions")
DICHOTOMOUS_MEASURES = (*SALIENCY_MEASURES, "hce", "giou", "ciou", "parse_failures", "false_abstentions")
PRECISION_MEASURES = ("p50", "p60", "p70", "p80", "p90")
REFERRING_MEASURES = ("ciou", "giou", *PRECISION_MEASURES, "box_accuracy", "parse_failures", "false_abstentions")
GENERAL_MEASURES = ("giou", "ciou", "n_acc", "t_acc", "parse_failures", "correct_abstentions", "false_abstentions")
BOX_MEASURES = ("ap", "ap50", "ap75", "box_precision", "box_recall", "giou", "parse_failures")
COUNT_MEASURES = ("exact_count", "count_error", "parse_failures", "false_abstentions")
