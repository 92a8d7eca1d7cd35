"""The parameters of notebook 04, and which trainings follow from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from labkit.experiments.charged import is_word
from labkit.experiments.frontier.spec import TUNED, FrontierSpec
from labkit.spec import Spec, control

DPSGD, FEST, ADAFEST, ADAFEST_PLUS, LAZYDP = "dpsgd", "fest", "adafest", "adafest_plus", "lazydp"
YEAR, MONTHS = "year", "months"
L2, L1 = "l2", "l1"
EXAMPLE, PERSON = "example", "person"
PUBLIC, HISTOGRAM, GUMBEL = "public", "histogram", "gumbel"
NONE = "none"
CHOOSING = ("selection_fraction", "threshold", "k", "map_norm")  # what not every method has a use for
UNUSED = {"selection_fraction": 0.0, "threshold": 0.0, "k": 0, "map_norm": L2}
USED = {
    DPSGD: (),
    LAZYDP: (),
    FEST: ("k",),
    ADAFEST: ("selection_fraction", "threshold", "map_norm"),
    ADAFEST_PLUS: ("selection_fraction", "threshold", "k"),
}


class EmbeddingsSpec(Spec):
    """How much of an embedding gradient must be noised at all?

    Grid fields are not all combined with all (`points`): the first vocabulary, order and map norm are, and every other
    value of one of them stands beside the middle of the remaining lists.
    """

    data_kind: ClassVar[str] = "table"
    pretrained: ClassVar[str] = "model"

    seeds: int = control(2, 5, **Spec.described("seeds"))
    data: str = control(
        "flights-60k", "flights",
        help="flights, flights-60k, movies, power-law, hub:NAME, insteval:FILE, movielens:DIR, criteo:FILE or a .csv",
    )  # fmt: skip
    epsilon: tuple[float | str, ...] = control(
        "1,8,plain", "1,3,8,plain",
        **FrontierSpec.described("epsilon") | {
            "help": "privacy loss of a trained model; clipped: clipped gradients without noise, plain: neither",
        },
    )  # fmt: skip
    delta: float = control(0.0, **FrontierSpec.described("delta"))
    method: tuple[str, ...] = control(
        ",".join(USED), choices=tuple(USED),
        help="how embedding rows are noised; dpsgd, all of them, always runs beside as the baseline",
    )  # fmt: skip
    selection_fraction: tuple[float, ...] = control(
        "0.1,0.5", "0.1,0.5,0.9", ge=0, lt=1,
        help="share of 1/sigma^2 that choosing rows takes (adafest)",
        low="rows chosen in much noise", high="what is chosen drowns in noise",
    )  # fmt: skip
    threshold: tuple[float, ...] = control(
        "1,3", "2,3,4,6", ge=-40, le=1000, unit="standard deviations",
        help="of the contribution map's noise, from which a row is noised and moved (adafest)",
        low="nearly all rows survive", high="frequent rows alone survive",
    )  # fmt: skip
    k: tuple[int, ...] = control(
        "300", "100,1000,3000", ge=0, le=10**9, log=True, unit="rows",
        help="rows of each column that fest and adafest_plus keep",
    )  # fmt: skip
    map_norm: tuple[str, ...] = control(
        "l2,l1", choices=(L2, L1), help="norm in which a contribution map is clipped: l2 as in the paper, or l1"
    )
    vocabulary: tuple[int, ...] = control(
        "0,1000", "0,3000", ge=0, le=2**31 - 1, log=True, unit="rows",
        help="rows of all tables together: larger columns are hashed; 0 for the vocabulary as it is",
        low="many values share a row", high="a row for each value",
    )  # fmt: skip
    order: tuple[str, ...] = control(
        "year,months", choices=(YEAR, MONTHS),
        help="year: batches from the whole training split; months: a stream, month by month, tested on the last ones",
    )  # fmt: skip
    clip_norm: float = control(1.0, gt=0, le=1000, log=True, help="C2: L2 norm that each unit's gradient is clipped to")
    map_clip_norm: float = control(
        1.0, gt=0, le=1000, log=True, help="C1: norm that each unit's contribution map is clipped to"
    )
    batch_size: int = control(
        1024, 4096, ge=1, le=1_000_000, unit="units", help="expected batch: a unit joins with this over n"
    )
    epochs: float = control(2.5, 6.0, gt=0, le=1000, help="expected times that a unit is drawn")
    optimizer: str = control("sgd", choices=("sgd", "adagrad"), help="moves tables and network; lazydp takes sgd alone")
    learning_rate: float | str = control(
        6.0, TUNED, kind="float", gt=0, le=1000, words=(TUNED,),
        help="one number for all, or tuned: each epsilon and kind of method its own, on the selection split",
    )  # fmt: skip
    rates: str = control("5,10,20", help="learning rates that the tuning tries, separated by commas")
    dim: int = control(8, ge=1, le=4096, log=True, unit="numbers", help="width of an embedding row")
    hidden: int = control(32, 64, ge=0, le=8192, unit="nodes", help="hidden layer above the embeddings; 0 for none")
    unit: str = control(
        EXAMPLE, choices=(EXAMPLE, PERSON), help="what is protected: one example, or a person's examples"
    )
    max_examples: int = control(
        16, ge=1, le=1000, unit="examples", help="most examples of a person that take part (unit person); public"
    )
    frequency: str = control(
        PUBLIC, choices=(PUBLIC, HISTOGRAM, GUMBEL),
        help="what fest counts: the selection split, which is not protected; or the training split, charged",
    )  # fmt: skip
    frequency_share: float = control(
        0.1, gt=0, lt=1, help="share of epsilon that a charged count may cost", low="a rough count", high="little left"
    )
    model: str = control(
        NONE, help="whose word vectors sentences begin with (data movies): a name, hub:NAME or a folder"
    )
    adapter_rank: int = control(
        0, ge=0, le=1024, help="rank of a low-rank change of frozen word vectors; 0 trains the vectors themselves"
    )
    words: int = control(32, ge=1, le=512, unit="tokens", help="longer sentences are cut")
    noise_source: str = control("seeded", **FrontierSpec.described("noise_source"))
    evaluations: int = control(3, 4, ge=1, le=1000, help="looks at the selection split while training")
    margin: float = control(
        0.002, gt=0, lt=1, unit="AUC", help="differences below this are called none; fixed before the run"
    )

    def points(self) -> tuple[Self, ...]:
        """The same Spec once for each training, each grid field holding one value.

        A method's own fields (`USED`) alone vary with it; the others hold what `UNUSED` says. adafest_plus crosses k
        and threshold at the middle fraction. The second and later values of `map_norm` stand beside every threshold at
        the middle fraction, those of `vocabulary` and `order` beside the middle of all lists. Words in `epsilon` train
        the dense method alone, and dpsgd is always there.
        """
        found: dict[tuple[Any, ...], Self] = {}
        methods = dict.fromkeys((DPSGD, *self.method))
        for epsilon, method in itertools.product(self.epsilon, methods):
            if isinstance(epsilon, str) and method != DPSGD:
                continue
            for values in self._configurations(method):
                point = {"epsilon": epsilon, "method": method} | values
                found.setdefault(tuple(point.values()), self.model_copy(update={n: (v,) for n, v in point.items()}))
        return tuple(found.values())

    def _configurations(self, method: str) -> Iterator[dict[str, Any]]:
        used = USED[method]
        main = {"vocabulary": self.vocabulary[0], "order": self.order[0]}
        fractions = self.selection_fraction if method == ADAFEST else (middle(self.selection_fraction),)

        def crossed(lists: dict[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
            lists = {name: lists[name] if name in used else (UNUSED[name],) for name in CHOOSING}
            for values in itertools.product(*lists.values()):
                yield dict(zip(CHOOSING, values, strict=True))

        norm = self.map_norm[:1]
        every = {"selection_fraction": fractions, "threshold": self.threshold, "k": self.k, "map_norm": norm}
        yield from (values | main for values in crossed(every))
        one = {name: (middle(values),) for name, values in every.items() if name != "map_norm"} | {"map_norm": norm}
        if "map_norm" in used:
            others = one | {"threshold": self.threshold, "map_norm": self.map_norm[1:]}
            yield from (values | main for values in crossed(others))
        for vocabulary in self.vocabulary[1:]:
            yield from (values | main | {"vocabulary": vocabulary} for values in crossed(one))
        for order in self.order[1:]:
            yield from (values | main | {"order": order} for values in crossed(one))

    def tried_rates(self) -> tuple[float, ...]:
        """The learning rates of the tuning.

        Raises:
            BadInput: not a list of finite numbers above 0.
        """
        from labkit.errors import BadInput

        try:
            found = tuple(dict.fromkeys(float(part) for part in self.rates.split(",") if part.strip()))
        except ValueError:
            found = ()
        if not found or not all(0 < rate < float("inf") for rate in found):
            raise BadInput("rates", self.rates, "finite numbers above 0, separated by commas")
        return found


def middle(values: Sequence[Any]) -> Any:
    """The middle value of a list, the lower one of two."""
    return sorted(values)[(len(values) - 1) // 2]


def in_the_curve(point: EmbeddingsSpec) -> bool:
    """Whether the live curve draws this point: the whole year, the whole vocabulary and the paper's map, so that lines
    differ in method, epsilon and settings alone."""
    return point.order[0] == YEAR and not point.vocabulary[0] and point.map_norm[0] == L2


def curve_arm(point: EmbeddingsSpec) -> str:
    """The name of a line of the live curve."""
    (epsilon,), (method,) = point.epsilon, point.method
    return epsilon if is_word(epsilon) else method


def curve_arms(spec: EmbeddingsSpec) -> list[str]:
    """The names of all lines of the live curve."""
    return list(dict.fromkeys(curve_arm(point) for point in spec.points() if in_the_curve(point)))


def configuration(point: EmbeddingsSpec) -> str:
    """The settings of one point's method in a few words; empty for a method without any."""
    (method,), said = point.method, []
    if "threshold" in USED[method]:
        said += [f"threshold {point.threshold[0]:g}", f"f {point.selection_fraction[0]:g}"]
    if "k" in USED[method]:
        said.append(f"k {point.k[0]:,}")
    if point.map_norm[0] == L1:
        said.append("L1 map")
    if point.vocabulary[0]:
        said.append(f"{point.vocabulary[0]:,} rows")
    if point.order[0] == MONTHS:
        said.append("stream")
    return ", ".join(said)
