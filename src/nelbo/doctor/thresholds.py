"""Every number that a finding hangs on, in one place.

Differences are held against their standard errors first (`SIGMAS`); the other numbers say from what size on a
difference that is no accident matters.
"""

from __future__ import annotations

SIGMAS = 3.0  # standard errors beyond which a difference is no accident
SURE = 5.0  # the same where many comparisons are made at once

# The course of a training.
ENOUGH = 10  # epochs below which nothing is said about convergence
NEGLIGIBLE = 0.001  # nats a dimension that nobody need care about: 0.0015 bits
NEGLIGIBLE_ERROR = 0.1  # of the bound's standard error that nobody need care about
STILL_RISING = 0.08  # share of the rise since the first fifth; between the courses 1 / time and logarithm of time
WORTH_MORE = 5  # negligible changes
FAR_FROM_DONE = 0.15  # of the rise
MUCH_OF_CODES = 0.05  # of what the codes carry
MUCH_OF_GAIN = 0.1  # of the gain over the best baseline
LOST_MUCH, LOST_SOME = 0.40, 0.10  # of what was gained on training rows, lost on held-out ones
SMALLEST_NET = 16  # hidden units of a network that is advised
MIN_SIDE, MAX_SIDE = 8, 128  # pixels of images that the convolutional networks take
FEW_STEPS, VERY_FEW_STEPS = 500, 200

# Figures of an evaluation.
LINEAR_MATCH = 0.5  # nats within which a linear model has reached its closed-form optimum
AT_FLOOR_MUCH, AT_FLOOR_SOME = 0.05, 0.01  # shares of log-variances
FAINT = 0.1  # nats below which a latent says next to nothing
FULL = 0.5  # nats that the weakest latent carries where more of them may help
FEW_EFFECTIVE = 5.0  # importance samples
LATE_GAIN = 0.25  # nats that the last tenfold of samples may add
MANY_SAMPLES = 5_000

# The data.
MANY_COPIES, SOME_COPIES = 10.0, 1.0  # per cent of rows that repeat others
BY_NATURE = 1e-6  # copies of a row expected of independent columns, from which on rows repeat by their nature
NEAR = 0.02  # a near copy: this share of the distance to the tenth neighbour
NEIGHBOURS = 10
MANY_NEAR = 0.02  # share of test rows that are near copies, beyond what the data's own dimension explains
UNLIKE_SCALES = 30.0  # largest over smallest standard deviation that a network sees
FAR_FROM_UNIT = 30.0  # standard deviation, or mean over it, that a network sees
KURTOSIS_MUCH, KURTOSIS_SOME = 25.0, 10.0  # excess; 0 for a Gaussian, 6 for an exponential

# The objective.
OFF_TERMS = 0.2  # relative difference of a reported term from the model's own
CLOSE_TO = 0.15  # relative distance from a suspected factor
TELLING_KL = 0.3  # nats of KL from which its weight and its sign can be told
NOT_ANNEALED = 0.99  # of the final weight
LATE_WARM_UP = 0.9  # share of the run that a warm-up may take

CUT_OFF = 0.02  # share of the likelihood in the gradient on the encoder
UNLIKE = 0.2  # of a gradient that the model's own terms may leave unexplained

# The fitted model.
COLLAPSED = 0.01  # nats each row's code carries, all latents together, at most
SAME, REPEATS = 0.95, 0.995  # correlation of two latents that say nearly the same, and the same
OVERFLOW = 20.0  # log-variance in scaled units
FADED = 1e-4  # gradient of the first layer over that of the last, per weight, before the first step
EXPLODED = 1_000.0  # gradient norm over that before the first step
TOO_WIDE = 0.5  # log of the ratio of variances: 1.6 times
MISSED_ZEROS = 0.1  # share of zeros that replicated data lack
OFF_RANKS = 0.15  # Kolmogorov-Smirnov distance of the ranks from uniform
LAGS_MUCH, LAGS_SOME = 1.0, 0.2  # amortisation gap as a share of the KL
LAGS_NATS = 1.0  # below which it does not matter

# Trial runs from the first weights.
MOVED = 0.05  # nats a dimension by which an objective moves in a run that learnt something
TRIAL_STEPS = 400
TRIAL_SECONDS = 20.0  # so large that the steps decide, but for very large nets
TRIAL_SHARE = 4  # at most one in so many of the run's own steps
TRIAL_FACTOR = 30.0  # times, and one over it, the learning rate of the run
