"""Whether a system that classifies is at chance because it does not write labels at all.

The likeliest of K labels is a prediction even where all K are next to impossible. An untuned base
that would go on in another way is then compared by noise in the tails, and tuning gains much by
showing it the format alone.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import pandas as pd

#: A system whose median probability of writing one of the labels is lower does not know the format.
LEAST_MASS = 0.01
#: A system that gives this share of the texts the same label does not choose.
ONE_LABEL = 0.99


def label_figures(outputs: pd.DataFrame) -> dict[str, float | bool]:
    """How much of a system's probability is on the labels, and whether it is at chance.

    outputs: label, predicted and, from 0 to 1, label_mass and label_mass_without_end of each text.
    Returns

    label_mass               median over texts of the probability that a label follows and ends
    label_mass_without_end   the same of beginning with a label, whatever follows it
    chance                   share of the most frequent label, what a constant answer scores
    largest_predicted_share  largest share of one predicted label
    at_chance_for_format     the accuracy is not above chance (its 95% Wilson interval begins at or
                             below it) or one label is predicted nearly always, and label_mass is
                             below LEAST_MASS
    """
    correct = int((outputs["predicted"] == outputs["label"]).sum())
    low = wilson_low(correct, len(outputs))
    mass = float(outputs["label_mass"].median())
    chance = float(outputs["label"].value_counts(normalize=True).iloc[0])
    largest = float(outputs["predicted"].value_counts(normalize=True).iloc[0])
    return {
        "label_mass": mass,
        "label_mass_without_end": float(outputs["label_mass_without_end"].median()),
        "chance": chance,
        "largest_predicted_share": largest,
        "at_chance_for_format": bool(mass < LEAST_MASS and (low <= chance or largest >= ONE_LABEL)),
    }


def wilson_low(count: int, total: int, confidence: float = 0.95) -> float:
    """Lower end of the Wilson score interval of a proportion (Wilson 1927).

    statsmodels has it too, but importing that takes longer than scoring the sample's labels.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = count / total
    spread = z * math.sqrt(share * (1 - share) / total + (z / total) ** 2 / 4)
    return (share + z**2 / (2 * total) - spread) / (1 + z**2 / total)
