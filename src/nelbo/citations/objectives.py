"""The sources of objectives, and which comes from which."""

from __future__ import annotations

from collections.abc import Mapping

from nelbo.citations.citation import Citation

OBJECTIVES: Mapping[str, tuple[str, ...]] = {
    "objective/free-bits": ("kingma2016",),
    "objective/capacity": ("burgess2018",),
    "objective/beta-tc": ("chen2018",),
    "objective/factor": ("kim2018",),
    "objective/dip": ("kumar2018",),
    "objective/mmd": ("zhao2017", "tolstikhin2018", "gretton2012"),
}
SOURCES: tuple[Citation, ...] = (
    Citation(
        "burgess2018", "misc",
        ("Burgess, Christopher P.", "Higgins, Irina", "Pal, Arka", "Matthey, Loic", "Watters, Nick",
         "Desjardins, Guillaume", "Lerchner, Alexander"),
        "Understanding disentangling in $\\beta$-VAE", 2018, arxiv="1804.03599",
    ),
    Citation(
        "chen2018", "inproceedings",
        ("Chen, Ricky T. Q.", "Li, Xuechen", "Grosse, Roger B.", "Duvenaud, David K."),
        "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
        "Advances in Neural Information Processing Systems", "1802.04942", other=(("volume", "31"),),
    ),
    Citation(
        "kim2018", "inproceedings", ("Kim, Hyunjik", "Mnih, Andriy"),
        "Disentangling by Factorising", 2018, "International Conference on Machine Learning", "1802.05983",
        other=(("pages", "2649--2658"),),
    ),
    Citation(
        "kumar2018", "inproceedings", ("Kumar, Abhishek", "Sattigeri, Prasanna", "Balakrishnan, Avinash"),
        "Variational Inference of Disentangled Latent Concepts from Unlabeled Observations", 2018,
        "International Conference on Learning Representations", "1711.00848",
    ),
    Citation(
        "zhao2017", "misc", ("Zhao, Shengjia", "Song, Jiaming", "Ermon, Stefano"),
        "InfoVAE: Information Maximizing Variational Autoencoders", 2017, arxiv="1706.02262",
    ),
    Citation(
        "tolstikhin2018", "inproceedings",
        ("Tolstikhin, Ilya", "Bousquet, Olivier", "Gelly, Sylvain", "Sch{\\\"o}lkopf, Bernhard"),
        "Wasserstein Auto-Encoders", 2018, "International Conference on Learning Representations", "1711.01558",
    ),
    Citation(
        "gretton2012", "article",
        ("Gretton, Arthur", "Borgwardt, Karsten M.", "Rasch, Malte J.", "Sch{\\\"o}lkopf, Bernhard",
         "Smola, Alexander"),
        "A Kernel Two-Sample Test", 2012, "Journal of Machine Learning Research",
        other=(("volume", "13"), ("pages", "723--773")),
    ),
)  # fmt: skip
