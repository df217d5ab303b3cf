"""The sources, and which part or data set comes from which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nelbo.citations import objectives
from nelbo.citations.citation import Citation

PARTS: Mapping[str, tuple[str, ...]] = {
    **objectives.OBJECTIVES,
    "prior/standard": ("kingma2014",),
    "prior/conditional": ("sohn2015",),
    "prior/mixture": ("dilokthanakul2016",),
    "prior/second-stage": ("dai2019", "burda2016", "andrieu2009"),
    "prior/vamp": ("tomczak2018",),
    "prior/flow": ("papamakarios2017", "dinh2017", "durkan2019", "chen2017"),
    "prior/stick-breaking": ("nalisnick2017",),
    "prior/normal": ("hoffman2016",),
    "prior/categorical": ("maddison2017",),
    "prior/laplace": ("olshausen1997", "barello2018"),
    "prior/hypersphere": ("davidson2018",),
    "prior/cauchy": ("chyzak2019",),
    "prior/gamma": ("ranganath2015",),
    "prior/dirichlet": ("joo2020",),
    "prior/one-hot": ("jang2017",),
    "prior/bernoulli": ("mnih2014",),
    "prior/relaxed-bernoulli": ("maddison2017",),
    "posterior/gaussian": ("kingma2014",),
    "posterior/full-gaussian": ("kingma2019",),
    "posterior/delta": ("hinton2006",),
    "posterior/kumaraswamy": ("nalisnick2017",),
    "posterior/iaf": ("kingma2016",),
    "posterior/relaxed-categorical": ("maddison2017", "jang2017"),
    "posterior/bernoulli": ("mnih2014",),
    "posterior/relaxed-bernoulli": ("maddison2017", "jang2017"),
    "posterior/planar": ("rezende2015",),
    "posterior/householder": ("tomczak2016",),
    "posterior/spline": ("durkan2019", "papamakarios2017"),
    "posterior/laplace": ("kingma2014",),
    "posterior/logistic": ("kingma2014",),
    "posterior/student-t": ("kingma2014", "bailey1994"),
    "posterior/cauchy": ("kingma2014", "chyzak2019"),
    "posterior/gumbel": ("kingma2014",),
    "posterior/exponential": ("kingma2014",),
    "posterior/log-normal": ("kingma2014",),
    "posterior/gamma": ("figurnov2018",),
    "posterior/beta": ("figurnov2018", "nalisnick2017"),
    "posterior/dirichlet": ("joo2020", "figurnov2018"),
    "posterior/logistic-normal": ("aitchison1980", "srivastava2017"),
    "posterior/straight-through-categorical": ("jang2017", "bengio2013"),
    "posterior/radial": ("rezende2015",),
    "posterior/sylvester": ("berg2018",),
    "posterior/low-rank-gaussian": ("ong2018", "rezende2014"),
    "posterior/von-mises-fisher": ("davidson2018", "wood1994", "figurnov2018"),
    "likelihood/bernoulli": ("kingma2014",),
    "likelihood/gaussian": ("kingma2014",),
    "likelihood/discretized-logistic": ("kingma2016", "salimans2017"),
    "likelihood/discretized-logistic-mixture": ("salimans2017",),
    "likelihood/continuous-bernoulli": ("loaizaganem2019",),
    "likelihood/student-t": ("mattei2019",),
    "likelihood/negative-binomial": ("lopez2018",),
    "likelihood/discretized-log-normal": ("chakraborty2015",),
    "likelihood/categorical": ("oord2016",),
    "likelihood/laplace": ("kotz2001",),
    "likelihood/log-normal": ("nazabal2020",),
    "likelihood/mixed": ("nazabal2020",),
    "likelihood/gamma": ("mccullagh1989",),
    "likelihood/exponential": ("fevotte2009",),
    "likelihood/poisson": ("nazabal2020",),
    "likelihood/zero-inflated-negative-binomial": ("lopez2018", "lambert1992"),
    "likelihood/beta": ("ferrari2004",),
    "likelihood/beta-binomial": ("skellam1948",),
    "likelihood/ordinal": ("mccullagh1980", "nazabal2020"),
    "network/gated-mlp": ("dauphin2017",),
    "network/residual-mlp": ("he2016", "ba2016"),
    "network/conv": ("radford2016",),
    "network/resnet": ("he2016", "wu2018"),
    "network/conv-1d": ("waibel1989",),
    "transform/dequantize": ("theis2016",),
    "transform/logit": ("papamakarios2017",),
    "optimizer/adam": ("kingma2015",),
    "optimizer/adamw": ("loshchilov2019",),
    "optimizer/adagrad": ("duchi2011",),
    "optimizer/rmsprop": ("tieleman2012",),
}
DATA: Mapping[str, str] = {
    "digits": "alpaydin1998",
    "mnist": "lecun1998",
    "fashion-mnist": "xiao2017",
    "binarized-mnist": "larochelle2011",
    "frey-faces": "roweis2000",
    "single-cell": "han2018",
    "smfish": "codeluppi2018",
    "shapes": "matthey2017",
}


def _by_key(citations: Iterable[Citation]) -> dict[str, Citation]:
    return {citation.key: citation for citation in citations}


ICLR, ICML, NEURIPS = (
    "International Conference on Learning Representations",
    "International Conference on Machine Learning",
    "Advances in Neural Information Processing Systems",
)
SOURCES: Mapping[str, Citation] = _by_key((
    *objectives.SOURCES,
    Citation(
        "kingma2014", "inproceedings", ("Kingma, Diederik P.", "Welling, Max"),
        "Auto-Encoding Variational Bayes", 2014, ICLR, "1312.6114",
    ),
    Citation(
        "rezende2014", "inproceedings", ("Rezende, Danilo Jimenez", "Mohamed, Shakir", "Wierstra, Daan"),
        "Stochastic Backpropagation and Approximate Inference in Deep Generative Models", 2014, ICML, "1401.4082",
        other=(("pages", "1278--1286"),),
    ),
    Citation(
        "burda2016", "inproceedings", ("Burda, Yuri", "Grosse, Roger", "Salakhutdinov, Ruslan"),
        "Importance Weighted Autoencoders", 2016, ICLR, "1509.00519",
    ),
    Citation(
        "wu2017", "inproceedings",
        ("Wu, Yuhuai", "Burda, Yuri", "Salakhutdinov, Ruslan", "Grosse, Roger"),
        "On the Quantitative Analysis of Decoder-Based Generative Models", 2017, ICLR, "1611.04273",
    ),
    Citation(
        "higgins2017", "inproceedings",
        ("Higgins, Irina", "Matthey, Loic", "Pal, Arka", "Burgess, Christopher", "Glorot, Xavier",
         "Botvinick, Matthew", "Mohamed, Shakir", "Lerchner, Alexander"),
        "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework", 2017, ICLR,
        url="https://openreview.net/forum?id=Sy2fzU9gl",
    ),
    Citation(
        "lucas2019", "inproceedings", ("Lucas, James", "Tucker, George", "Grosse, Roger", "Norouzi, Mohammad"),
        "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse", 2019, NEURIPS, "1911.02469",
        other=(("volume", "32"), ("pages", "9403--9413")),
    ),
    Citation(
        "tipping1999", "article", ("Tipping, Michael E.", "Bishop, Christopher M."),
        "Probabilistic Principal Component Analysis", 1999,
        "Journal of the Royal Statistical Society: Series B", doi="10.1111/1467-9868.00196",
        other=(("volume", "61"), ("number", "3"), ("pages", "611--622")),
    ),
    Citation(
        "kingma2016", "inproceedings",
        ("Kingma, Diederik P.", "Salimans, Tim", "Jozefowicz, Rafal", "Chen, Xi", "Sutskever, Ilya", "Welling, Max"),
        "Improved Variational Inference with Inverse Autoregressive Flow", 2016, NEURIPS, "1606.04934",
        other=(("volume", "29"),),
    ),
    Citation(
        "salimans2017", "inproceedings",
        ("Salimans, Tim", "Karpathy, Andrej", "Chen, Xi", "Kingma, Diederik P."),
        "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other Modifications",
        2017, ICLR, "1701.05517",
    ),
    Citation(
        "loaizaganem2019", "inproceedings", ("Loaiza-Ganem, Gabriel", "Cunningham, John P."),
        "The continuous Bernoulli: fixing a pervasive error in variational autoencoders", 2019, NEURIPS, "1907.06845",
        other=(("volume", "32"),),
    ),
    Citation(
        "rybkin2021", "inproceedings", ("Rybkin, Oleh", "Daniilidis, Kostas", "Levine, Sergey"),
        "Simple and Effective VAE Training with Calibrated Decoders", 2021, ICML, "2006.13202",
    ),
    Citation(
        "theis2016", "inproceedings", ("Theis, Lucas", "van den Oord, A{\\\"a}ron", "Bethge, Matthias"),
        "A note on the evaluation of generative models", 2016, ICLR, "1511.01844",
    ),
    Citation(
        "papamakarios2017", "inproceedings", ("Papamakarios, George", "Pavlakou, Theo", "Murray, Iain"),
        "Masked Autoregressive Flow for Density Estimation", 2017, NEURIPS, "1705.07057", other=(("volume", "30"),),
    ),
    Citation(
        "tomczak2018", "inproceedings", ("Tomczak, Jakub M.", "Welling, Max"),
        "VAE with a VampPrior", 2018, "International Conference on Artificial Intelligence and Statistics",
        "1705.07120",
    ),
    Citation(
        "dilokthanakul2016", "misc",
        ("Dilokthanakul, Nat", "Mediano, Pedro A. M.", "Garnelo, Marta", "Lee, Matthew C. H.", "Salimbeni, Hugh",
         "Arulkumaran, Kai", "Shanahan, Murray"),
        "Deep Unsupervised Clustering with Gaussian Mixture Variational Autoencoders", 2016, "arXiv", "1611.02648",
    ),
    Citation(
        "nalisnick2017", "inproceedings", ("Nalisnick, Eric", "Smyth, Padhraic"),
        "Stick-Breaking Variational Autoencoders", 2017, ICLR, "1605.06197",
    ),
    Citation(
        "rezende2015", "inproceedings", ("Rezende, Danilo Jimenez", "Mohamed, Shakir"),
        "Variational Inference with Normalizing Flows", 2015, ICML, "1505.05770", other=(("pages", "1530--1538"),),
    ),
    Citation(
        "tomczak2016", "misc", ("Tomczak, Jakub M.", "Welling, Max"),
        "Improving Variational Auto-Encoders using Householder Flow", 2016, "arXiv", "1611.09630",
    ),
    Citation(
        "maddison2017", "inproceedings", ("Maddison, Chris J.", "Mnih, Andriy", "Teh, Yee Whye"),
        "The Concrete Distribution: A Continuous Relaxation of Discrete Random Variables", 2017, ICLR, "1611.00712",
    ),
    Citation(
        "jang2017", "inproceedings", ("Jang, Eric", "Gu, Shixiang", "Poole, Ben"),
        "Categorical Reparameterization with Gumbel-Softmax", 2017, ICLR, "1611.01144",
    ),
    Citation(
        "mnih2014", "inproceedings", ("Mnih, Andriy", "Gregor, Karol"),
        "Neural Variational Inference and Learning in Belief Networks", 2014, ICML, "1402.0030",
    ),
    Citation(
        "hoffman2016", "inproceedings", ("Hoffman, Matthew D.", "Johnson, Matthew J."),
        "ELBO surgery: yet another way to carve up the variational evidence lower bound", 2016,
        "Workshop in Advances in Approximate Bayesian Inference, NIPS",
    ),
    Citation(
        "sohn2015", "inproceedings", ("Sohn, Kihyuk", "Lee, Honglak", "Yan, Xinchen"),
        "Learning Structured Output Representation using Deep Conditional Generative Models", 2015, NEURIPS,
        other=(("volume", "28"),),
    ),
    Citation(
        "dai2019", "inproceedings", ("Dai, Bin", "Wipf, David"), "Diagnosing and Enhancing VAE Models", 2019, ICLR,
        "1903.05789",
    ),
    Citation(
        "andrieu2009", "article", ("Andrieu, Christophe", "Roberts, Gareth O."),
        "The pseudo-marginal approach for efficient Monte Carlo computations", 2009, "The Annals of Statistics",
        doi="10.1214/07-AOS574", other=(("volume", "37"), ("number", "2"), ("pages", "697--725")),
    ),
    Citation(
        "olshausen1997", "article", ("Olshausen, Bruno A.", "Field, David J."),
        "Sparse coding with an overcomplete basis set: A strategy employed by V1?", 1997, "Vision Research",
        doi="10.1016/S0042-6989(97)00169-7", other=(("volume", "37"), ("number", "23"), ("pages", "3311--3325")),
    ),
    Citation(
        "barello2018", "misc", ("Barello, Gabriel", "Charles, Adam S.", "Pillow, Jonathan W."),
        "Sparse-Coding Variational Auto-Encoders", 2018, "bioRxiv", doi="10.1101/399246",
    ),
    Citation(
        "davidson2018", "inproceedings",
        ("Davidson, Tim R.", "Falorsi, Luca", "De Cao, Nicola", "Kipf, Thomas", "Tomczak, Jakub M."),
        "Hyperspherical Variational Auto-Encoders", 2018, "Conference on Uncertainty in Artificial Intelligence",
        "1804.00891",
    ),
    Citation(
        "wood1994", "article", ("Wood, Andrew T. A.",), "Simulation of the von Mises Fisher distribution", 1994,
        "Communications in Statistics: Simulation and Computation", doi="10.1080/03610919408813161",
        other=(("volume", "23"), ("number", "1"), ("pages", "157--164")),
    ),
    Citation(
        "figurnov2018", "inproceedings", ("Figurnov, Michael", "Mohamed, Shakir", "Mnih, Andriy"),
        "Implicit Reparameterization Gradients", 2018, NEURIPS, "1805.08498", other=(("volume", "31"),),
    ),
    Citation(
        "chyzak2019", "misc", ("Chyzak, Fr{\\'e}d{\\'e}ric", "Nielsen, Frank"),
        "A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions", 2019, "arXiv",
        "1905.10965",
    ),
    Citation(
        "ranganath2015", "inproceedings",
        ("Ranganath, Rajesh", "Tang, Linpeng", "Charlin, Laurent", "Blei, David M."),
        "Deep Exponential Families", 2015, "International Conference on Artificial Intelligence and Statistics",
        "1411.2581",
    ),
    Citation(
        "joo2020", "article", ("Joo, Weonyoung", "Lee, Wonsung", "Park, Sungrae", "Moon, Il-Chul"),
        "Dirichlet Variational Autoencoder", 2020, "Pattern Recognition", "1901.02739",
        other=(("volume", "107"),),
    ),
    Citation(
        "aitchison1980", "article", ("Aitchison, J.", "Shen, S. M."),
        "Logistic-Normal Distributions: Some Properties and Uses", 1980, "Biometrika",
        other=(("volume", "67"), ("number", "2"), ("pages", "261--272")),
    ),
    Citation(
        "srivastava2017", "inproceedings", ("Srivastava, Akash", "Sutton, Charles"),
        "Autoencoding Variational Inference for Topic Models", 2017, ICLR, "1703.01488",
    ),
    Citation(
        "bengio2013", "misc", ("Bengio, Yoshua", "L{\\'e}onard, Nicholas", "Courville, Aaron"),
        "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation", 2013, "arXiv",
        "1308.3432",
    ),
    Citation(
        "berg2018", "inproceedings",
        ("van den Berg, Rianne", "Hasenclever, Leonard", "Tomczak, Jakub M.", "Welling, Max"),
        "Sylvester Normalizing Flows for Variational Inference", 2018,
        "Conference on Uncertainty in Artificial Intelligence", "1803.05649",
    ),
    Citation(
        "bailey1994", "article", ("Bailey, Ralph W.",),
        "Polar generation of random variates with the t-distribution", 1994, "Mathematics of Computation",
        doi="10.2307/2153537", other=(("volume", "62"), ("number", "206"), ("pages", "779--781")),
    ),
    Citation(
        "ong2018", "article", ("Ong, Victor M.-H.", "Nott, David J.", "Smith, Michael S."),
        "Gaussian Variational Approximation With a Factor Covariance Structure", 2018,
        "Journal of Computational and Graphical Statistics", "1701.03208", doi="10.1080/10618600.2017.1390472",
        other=(("volume", "27"), ("number", "3"), ("pages", "465--478")),
    ),
    Citation(
        "dinh2017", "inproceedings", ("Dinh, Laurent", "Sohl-Dickstein, Jascha", "Bengio, Samy"),
        "Density estimation using Real NVP", 2017, ICLR, "1605.08803",
    ),
    Citation(
        "durkan2019", "inproceedings",
        ("Durkan, Conor", "Bekasov, Artur", "Murray, Iain", "Papamakarios, George"),
        "Neural Spline Flows", 2019, NEURIPS, "1906.04032", other=(("volume", "32"),),
    ),
    Citation(
        "chen2017", "inproceedings",
        ("Chen, Xi", "Kingma, Diederik P.", "Salimans, Tim", "Duan, Yan", "Dhariwal, Prafulla", "Schulman, John",
         "Sutskever, Ilya", "Abbeel, Pieter"),
        "Variational Lossy Autoencoder", 2017, ICLR, "1611.02731",
    ),
    Citation(
        "kingma2019", "article", ("Kingma, Diederik P.", "Welling, Max"),
        "An Introduction to Variational Autoencoders", 2019, "Foundations and Trends in Machine Learning",
        "1906.02691", other=(("volume", "12"), ("number", "4"), ("pages", "307--392")),
    ),
    Citation(
        "hinton2006", "article", ("Hinton, Geoffrey E.", "Salakhutdinov, Ruslan R."),
        "Reducing the Dimensionality of Data with Neural Networks", 2006, "Science",
        doi="10.1126/science.1127647", other=(("volume", "313"), ("number", "5786"), ("pages", "504--507")),
    ),
    Citation(
        "mattei2019", "inproceedings", ("Mattei, Pierre-Alexandre", "Frellsen, Jes"),
        "MIWAE: Deep Generative Modelling and Imputation of Incomplete Data Sets", 2019, ICML, "1812.02633",
    ),
    Citation(
        "lopez2018", "article",
        ("Lopez, Romain", "Regier, Jeffrey", "Cole, Michael B.", "Jordan, Michael I.", "Yosef, Nir"),
        "Deep generative modeling for single-cell transcriptomics", 2018, "Nature Methods",
        doi="10.1038/s41592-018-0229-2", other=(("volume", "15"), ("pages", "1053--1058")),
    ),
    Citation(
        "oord2016", "inproceedings",
        ("van den Oord, A{\\\"a}ron", "Kalchbrenner, Nal", "Kavukcuoglu, Koray"),
        "Pixel Recurrent Neural Networks", 2016, ICML, "1601.06759",
    ),
    Citation(
        "kotz2001", "book", ("Kotz, Samuel", "Kozubowski, Tomasz J.", "Podg{\\'o}rski, Krzysztof"),
        "The Laplace Distribution and Generalizations", 2001, doi="10.1007/978-1-4612-0173-1",
        other=(("publisher", "Birkh{\\\"a}user"),),
    ),
    Citation(
        "nazabal2020", "article",
        ("Naz{\\'a}bal, Alfredo", "Olmos, Pablo M.", "Ghahramani, Zoubin", "Valera, Isabel"),
        "Handling incomplete heterogeneous data using VAEs", 2020, "Pattern Recognition", "1807.03653",
        doi="10.1016/j.patcog.2020.107501", other=(("volume", "107"), ("pages", "107501")),
    ),
    Citation(
        "mccullagh1989", "book", ("McCullagh, Peter", "Nelder, John A."),
        "Generalized Linear Models", 1989, doi="10.1007/978-1-4899-3242-6",
        other=(("edition", "second"), ("publisher", "Chapman and Hall")),
    ),
    Citation(
        "fevotte2009", "article",
        ("F{\\'e}votte, C{\\'e}dric", "Bertin, Nancy", "Durrieu, Jean-Louis"),
        "Nonnegative Matrix Factorization with the Itakura-Saito Divergence: With Application to Music Analysis",
        2009, "Neural Computation", doi="10.1162/neco.2008.04-08-771",
        other=(("volume", "21"), ("number", "3"), ("pages", "793--830")),
    ),
    Citation(
        "lambert1992", "article", ("Lambert, Diane",),
        "Zero-Inflated Poisson Regression, with an Application to Defects in Manufacturing", 1992, "Technometrics",
        doi="10.1080/00401706.1992.10485228", other=(("volume", "34"), ("number", "1"), ("pages", "1--14")),
    ),
    Citation(
        "ferrari2004", "article", ("Ferrari, Silvia", "Cribari-Neto, Francisco"),
        "Beta Regression for Modelling Rates and Proportions", 2004, "Journal of Applied Statistics",
        doi="10.1080/0266476042000214501", other=(("volume", "31"), ("number", "7"), ("pages", "799--815")),
    ),
    Citation(
        "skellam1948", "article", ("Skellam, John G.",),
        "A Probability Distribution Derived from the Binomial Distribution by Regarding the Probability of Success "
        "as Variable Between the Sets of Trials", 1948, "Journal of the Royal Statistical Society: Series B",
        doi="10.1111/j.2517-6161.1948.tb00014.x", other=(("volume", "10"), ("number", "2"), ("pages", "257--261")),
    ),
    Citation(
        "mccullagh1980", "article", ("McCullagh, Peter",),
        "Regression Models for Ordinal Data", 1980, "Journal of the Royal Statistical Society: Series B",
        doi="10.1111/j.2517-6161.1980.tb01109.x", other=(("volume", "42"), ("number", "2"), ("pages", "109--142")),
    ),
    Citation(
        "dauphin2017", "inproceedings", ("Dauphin, Yann N.", "Fan, Angela", "Auli, Michael", "Grangier, David"),
        "Language Modeling with Gated Convolutional Networks", 2017, ICML, "1612.08083",
    ),
    Citation(
        "he2016", "inproceedings", ("He, Kaiming", "Zhang, Xiangyu", "Ren, Shaoqing", "Sun, Jian"),
        "Identity Mappings in Deep Residual Networks", 2016, "European Conference on Computer Vision", "1603.05027",
    ),
    Citation(
        "ba2016", "misc", ("Ba, Jimmy Lei", "Kiros, Jamie Ryan", "Hinton, Geoffrey E."),
        "Layer Normalization", 2016, "arXiv", "1607.06450",
    ),
    Citation(
        "wu2018", "inproceedings", ("Wu, Yuxin", "He, Kaiming"),
        "Group Normalization", 2018, "European Conference on Computer Vision", "1803.08494",
    ),
    Citation(
        "radford2016", "inproceedings", ("Radford, Alec", "Metz, Luke", "Chintala, Soumith"),
        "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", 2016, ICLR,
        "1511.06434",
    ),
    Citation(
        "waibel1989", "article",
        ("Waibel, Alexander", "Hanazawa, Toshiyuki", "Hinton, Geoffrey", "Shikano, Kiyohiro", "Lang, Kevin J."),
        "Phoneme recognition using time-delay neural networks", 1989,
        "IEEE Transactions on Acoustics, Speech, and Signal Processing", doi="10.1109/29.21701",
        other=(("volume", "37"), ("number", "3"), ("pages", "328--339")),
    ),
    Citation(
        "kingma2015", "inproceedings", ("Kingma, Diederik P.", "Ba, Jimmy"),
        "Adam: A Method for Stochastic Optimization", 2015, ICLR, "1412.6980",
    ),
    Citation(
        "loshchilov2019", "inproceedings", ("Loshchilov, Ilya", "Hutter, Frank"),
        "Decoupled Weight Decay Regularization", 2019, ICLR, "1711.05101",
    ),
    Citation(
        "duchi2011", "article", ("Duchi, John", "Hazan, Elad", "Singer, Yoram"),
        "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011,
        "Journal of Machine Learning Research", other=(("volume", "12"), ("pages", "2121--2159")),
    ),
    Citation(
        "tieleman2012", "misc", ("Tieleman, Tijmen", "Hinton, Geoffrey"),
        "Lecture 6.5---RMSProp: Divide the gradient by a running average of its recent magnitude", 2012,
        "COURSERA: Neural Networks for Machine Learning",
    ),
    Citation(
        "alpaydin1998", "misc", ("Alpaydin, Ethem", "Kaynak, Cenk"),
        "Optical Recognition of Handwritten Digits", 1998, "UCI Machine Learning Repository", doi="10.24432/C50P49",
    ),
    Citation(
        "lecun1998", "article", ("LeCun, Yann", "Bottou, L{\\'e}on", "Bengio, Yoshua", "Haffner, Patrick"),
        "Gradient-based learning applied to document recognition", 1998, "Proceedings of the IEEE",
        doi="10.1109/5.726791", other=(("volume", "86"), ("number", "11"), ("pages", "2278--2324")),
    ),
    Citation(
        "xiao2017", "misc", ("Xiao, Han", "Rasul, Kashif", "Vollgraf, Roland"),
        "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017,
        arxiv="1708.07747",
    ),
    Citation(
        "larochelle2011", "inproceedings", ("Larochelle, Hugo", "Murray, Iain"),
        "The Neural Autoregressive Distribution Estimator", 2011,
        "International Conference on Artificial Intelligence and Statistics", other=(("pages", "29--37"),),
    ),
    Citation(
        "roweis2000", "article", ("Roweis, Sam T.", "Saul, Lawrence K."),
        "Nonlinear Dimensionality Reduction by Locally Linear Embedding", 2000, "Science",
        doi="10.1126/science.290.5500.2323", other=(("volume", "290"), ("number", "5500"), ("pages", "2323--2326")),
    ),
    Citation(
        "han2018", "article", ("Han, Xiaoping", "Wang, Renying", "Zhou, Yincong", "others"),
        "Mapping the Mouse Cell Atlas by Microwell-Seq", 2018, "Cell",
        doi="10.1016/j.cell.2018.02.001", other=(("volume", "172"), ("number", "5")),
    ),
    Citation(
        "codeluppi2018", "article", ("Codeluppi, Simone", "Borm, Lars E.", "Zeisel, Amit", "others"),
        "Spatial organization of the somatosensory cortex revealed by osmFISH", 2018, "Nature Methods",
        doi="10.1038/s41592-018-0175-z", other=(("volume", "15"), ("pages", "932--935")),
    ),
    Citation(
        "matthey2017", "misc",
        ("Matthey, Loic", "Higgins, Irina", "Hassabis, Demis", "Lerchner, Alexander"),
        "dSprites: Disentanglement testing Sprites dataset", 2017,
        url="https://github.com/deepmind/dsprites-dataset/",
    ),
    Citation(
        "chakraborty2015", "article", ("Chakraborty, Subrata",),
        "Generating discrete analogues of continuous probability distributions: A survey of methods and constructions",
        2015, "Journal of Statistical Distributions and Applications", doi="10.1186/s40488-015-0028-6",
        other=(("volume", "2"), ("number", "6")),
    ),
))  # fmt: skip
