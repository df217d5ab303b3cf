"""The gradient tape: what each term of a loss does to each group of parameters, what is cut off, what broke first."""

from nelbo.train.tape.readings import Reading, Slope
from nelbo.train.tape.tape import GradientTape
from nelbo.train.tape.taping import Taping

__all__ = ["GradientTape", "Reading", "Slope", "Taping"]
