"""The papers that the theorems come from, once each; `theory.cite` makes BibTeX of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SOURCES", "Source"]


@dataclass(frozen=True)
class Source:
    """A paper: `key` as in BibTeX, authors "Last, First" in order, `arxiv` "" where there is none."""

    key: str
    authors: tuple[str, ...]
    year: int
    title: str
    arxiv: str = ""
    venue: str = ""

    @property
    def short(self) -> str:
        """Authors and year as in a text."""
        last = [name.split(",")[0] for name in self.authors]
        who = last[0] if len(last) == 1 else f"{last[0]} and {last[1]}" if len(last) == 2 else f"{last[0]} et al."
        return f"{who} {self.year}" + (f" (arXiv {self.arxiv})" if self.arxiv else "")

    def bibtex(self) -> str:
        """The entry for a bibliography."""
        fields = {"title": f"{{{self.title}}}", "author": " and ".join(self.authors), "year": str(self.year)}
        if self.venue:
            fields["booktitle"] = self.venue
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"}
        kind = "inproceedings" if self.venue else "misc"
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{kind}{{{self.key},\n{lines}\n}}"


_ALL: tuple[Source, ...] = (
    Source(
        "li2024mixing",
        ("Li, Tianjian", "Xu, Haoran", "Tan, Weiting", "Murray, Kenton", "Khashabi, Daniel"),
        2024,
        "Upsample or Upweight? Balanced Training on Heavily Imbalanced Datasets",
        "2410.04579",
    ),
    Source("simlab", ("The simlab authors",), 2026, "simlab: a testbed for the analysis of SGD schedules"),
    Source(
        "zou2023",
        ("Zou, Difan", "Wu, Jingfeng", "Braverman, Vladimir", "Gu, Quanquan", "Kakade, Sham M."),
        2023,
        "Benign Overfitting of Constant-Stepsize SGD for Linear Regression",
        "2103.12692",
        "Journal of Machine Learning Research 24(326)",
    ),
    Source(
        "wu2022",
        ("Wu, Jingfeng", "Zou, Difan", "Braverman, Vladimir", "Gu, Quanquan", "Kakade, Sham M."),
        2022,
        "Last Iterate Risk Bounds of SGD with Decaying Stepsize for Overparameterized Linear Regression",
        "2110.06198",
        "International Conference on Machine Learning",
    ),
    Source(
        "jain2018parallelizing",
        ("Jain, Prateek", "Kakade, Sham M.", "Kidambi, Rahul", "Netrapalli, Praneeth", "Sidford, Aaron"),
        2018,
        "Parallelizing Stochastic Gradient Descent for Least Squares Regression: Mini-batching, Averaging, and Model "
        "Misspecification",
        "1610.03774",
        "Journal of Machine Learning Research 18(223)",
    ),
    Source(
        "meterez2025",
        (
            "Meterez, Alexandru",
            "Morwani, Depen",
            "Oncescu, Costin-Andrei",
            "Wu, Jingfeng",
            "Pehlevan, Cengiz",
            "Kakade, Sham",
        ),
        2025,
        "A Simplified Analysis of SGD for Linear Regression with Weight Averaging",
        "2506.15535",
    ),
    Source(
        "ge2019",
        ("Ge, Rong", "Kakade, Sham M.", "Kidambi, Rahul", "Netrapalli, Praneeth"),
        2019,
        "The Step Decay Schedule: A Near Optimal, Geometrically Decaying Learning Rate Procedure for Least Squares",
        "1904.12838",
        "Advances in Neural Information Processing Systems 32",
    ),
    Source(
        "pan2022eigencurve",
        ("Pan, Rui", "Ye, Haishan", "Zhang, Tong"),
        2022,
        "Eigencurve: Optimal Learning Rate Schedule for SGD on Quadratic Objectives with Skewed Hessian Spectrums",
        "2110.14109",
        "International Conference on Learning Representations",
    ),
    Source(
        "li2025ema",
        ("Li, Xuheng", "Gu, Quanquan"),
        2025,
        "Understanding SGD with Exponential Moving Average: A Case Study in Linear Regression",
        "2502.14123",
    ),
    Source(
        "zhang2019",
        (
            "Zhang, Guodong",
            "Li, Lala",
            "Nado, Zachary",
            "Martens, James",
            "Sachdeva, Sushant",
            "Dahl, George E.",
            "Shallue, Christopher J.",
            "Grosse, Roger",
        ),
        2019,
        "Which Algorithmic Choices Matter at Which Batch Sizes? Insights From a Noisy Quadratic Model",
        "1907.04164",
        "NeurIPS",
    ),
    Source(
        "jain2018asgd",
        ("Jain, Prateek", "Kakade, Sham M.", "Kidambi, Rahul", "Netrapalli, Praneeth", "Sidford, Aaron"),
        2018,
        "Accelerating Stochastic Gradient Descent for Least Squares Regression",
        "1704.08227",
        "COLT",
    ),
    Source(
        "kidambi2018",
        ("Kidambi, Rahul", "Netrapalli, Praneeth", "Jain, Prateek", "Kakade, Sham M."),
        2018,
        "On the Insufficiency of Existing Momentum Schemes for Stochastic Optimization",
        "1803.05591",
        "ICLR",
    ),
    Source(
        "bordelon2022",
        ("Bordelon, Blake", "Pehlevan, Cengiz"),
        2022,
        "Learning Curves for SGD on Structured Features",
        "2106.02713",
        "ICLR",
    ),
    Source(
        "varre2022",
        ("Varre, Aditya", "Flammarion, Nicolas"),
        2022,
        "Accelerated SGD for Non-Strongly-Convex Least Squares",
        "2203.01744",
        "COLT",
    ),
    Source(
        "bordelon2024",
        ("Bordelon, Blake", "Atanasov, Alexander", "Pehlevan, Cengiz"),
        2024,
        "A Dynamical Model of Neural Scaling Laws",
        "2402.01092",
        "ICML",
    ),
    Source(
        "collinswoodfin2024",
        (
            "Collins-Woodfin, Elizabeth",
            "Seroussi, Inbar",
            "García Malaxechebarría, Begoña",
            "Mackenzie, Andrew W.",
            "Paquette, Elliot",
            "Paquette, Courtney",
        ),
        2024,
        "The High Line: Exact Risk and Learning Rate Curves of Stochastic Adaptive Learning Rate Algorithms",
        "2405.19585",
        "NeurIPS",
    ),
    Source(
        "dexter2024",
        ("Dexter, Gregory", "Ocejo, Borja", "Keerthi, Sathiya", "Gupta, Aman", "Acharya, Ayan", "Khanna, Rajiv"),
        2024,
        "A Precise Characterization of SGD Stability Using Loss Surface Geometry",
        "2401.12332",
        "ICLR",
    ),
    Source(
        "li2024",
        ("Li, Xuheng", "Deng, Yihe", "Wu, Jingfeng", "Zhou, Dongruo", "Gu, Quanquan"),
        2024,
        "Risk Bounds of Accelerated SGD for Overparameterized Linear Regression",
        "2311.14222",
        "ICLR",
    ),
    Source(
        "mulayoff2024",
        ("Mulayoff, Rotem", "Michaeli, Tomer"),
        2024,
        "Exact Mean Square Linear Stability Analysis for SGD",
        "2306.07850",
        "COLT",
    ),
    Source(
        "pan2024",
        ("Pan, Rui", "Liu, Yuxing", "Wang, Xiaoyu", "Zhang, Tong"),
        2024,
        "Accelerated Convergence of Stochastic Heavy Ball Method under Anisotropic Gradient Noise",
        "2312.14567",
        "ICLR",
    ),
    Source(
        "paquette2024",
        ("Paquette, Elliot", "Paquette, Courtney", "Xiao, Lechao", "Pennington, Jeffrey"),
        2024,
        "4+3 Phases of Compute-Optimal Neural Scaling Laws",
        "2405.15074",
        "NeurIPS",
    ),
    Source(
        "ferbach2025",
        ("Ferbach, Damien", "Everett, Katie", "Gidel, Gauthier", "Paquette, Elliot", "Paquette, Courtney"),
        2025,
        "Dimension-Adapted Momentum Outscales SGD",
        "2505.16098",
    ),
    Source(
        "li2025fsl",
        ("Li, Binghui", "Chen, Fengling", "Huang, Zixun", "Wang, Lean", "Wu, Lei"),
        2025,
        "Functional Scaling Laws in Kernel Regression: Loss Dynamics and Learning Rate Schedules",
        "2509.19189",
        "NeurIPS",
    ),
    Source(
        "wang2026",
        ("Wang", "Huang", "Li", "Wu"),
        2026,
        "Momentum in Large-Batch Training: Polyak Enlarges the Critical Batch Size, Nesterov Improves Data Efficiency",
    ),
    Source(
        "defazio2023",
        ("Defazio, Aaron", "Cutkosky, Ashok", "Mehta, Harsh", "Mishchenko, Konstantin"),
        2023,
        "Optimal Linear Decay Learning Rate Schedules and Further Refinements",
        "2310.07831",
    ),
    Source(
        "zamani2023",
        ("Zamani, Moslem", "Glineur, François"),
        2023,
        "Exact Convergence Rate of the Last Iterate in Subgradient Methods",
        "2307.11134",
    ),
    Source(
        "defazio2024",
        (
            "Defazio, Aaron",
            "Yang, Xingyu",
            "Mehta, Harsh",
            "Mishchenko, Konstantin",
            "Khaled, Ahmed",
            "Cutkosky, Ashok",
        ),
        2024,
        "The Road Less Scheduled",
        "2405.15682",
        "Advances in Neural Information Processing Systems",
    ),
    Source(
        "wen2024",
        ("Wen, Kaiyue", "Li, Zhiyuan", "Wang, Jason", "Hall, David", "Liang, Percy", "Ma, Tengyu"),
        2024,
        "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective",
        "2410.05192",
        "International Conference on Learning Representations",
    ),
    Source(
        "dremov2025",
        ("Dremov, Aleksandr", "Hägele, Alexander", "Kosson, Atli", "Jaggi, Martin"),
        2025,
        "Training Dynamics of the Cooldown Stage in Warmup-Stable-Decay Learning Rate Scheduler",
        "2508.01483",
        "Transactions on Machine Learning Research",
    ),
    Source(
        "tissue2024",
        ("Tissue, Howe", "Wang, Venus", "Wang, Lu"),
        2024,
        "Scaling Law with Learning Rate Annealing",
        "2408.11029",
    ),
    Source(
        "bergsma2025",
        (
            "Bergsma, Shane",
            "Dey, Nolan",
            "Gosal, Gurpreet",
            "Gray, Gavia",
            "Soboleva, Daria",
            "Hestness, Joel",
        ),
        2025,
        "Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best for LLMs",
        "2502.15938",
        "International Conference on Learning Representations",
    ),
    Source(
        "luo2025",
        (
            "Luo, Kairong",
            "Wen, Haodong",
            "Hu, Shengding",
            "Sun, Zhenbo",
            "Liu, Zhiyuan",
            "Sun, Maosong",
            "Lyu, Kaifeng",
            "Chen, Wenguang",
        ),
        2025,
        "A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules",
        "2503.12811",
        "International Conference on Learning Representations",
    ),
    Source(
        "schaipp2025",
        ("Schaipp, Fabian", "Hägele, Alexander", "Taylor, Adrien", "Simsekli, Umut", "Bach, Francis"),
        2025,
        "The Surprising Agreement Between Convex Optimization Theory and Learning-Rate Scheduling for Large Model "
        "Training",
        "2501.18965",
        "International Conference on Machine Learning",
    ),
    Source(
        "song2025",
        ("Song, Minhak", "Baek, Beomhan", "Ahn, Kwangjun", "Yun, Chulhee"),
        2025,
        "Through the River: Understanding the Benefit of Schedule-Free Methods for Language Model Training",
        "2507.09846",
        "Advances in Neural Information Processing Systems",
    ),
    Source(
        "tian2025",
        (
            "Tian, Changxin",
            "Wang, Jiapeng",
            "Zhao, Qian",
            "Chen, Kunlong",
            "Liu, Jia",
            "Liu, Ziqi",
            "Mao, Jiaxin",
            "Zhao, Wayne Xin",
            "Zhang, Zhiqiang",
            "Zhou, Jun",
        ),
        2025,
        "WSM: Decay-Free Learning Rate Schedule via Checkpoint Merging for LLM Pre-training",
        "2507.17634",
    ),
)

SOURCES: dict[str, Source] = {source.key: source for source in _ALL}
