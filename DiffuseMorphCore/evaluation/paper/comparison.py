"""One comparison: networks trained on the same data by the same budget, every method on every case, with seeds."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.paper.baselines import COMPARED, TrajectoryAt, trajectory
from DiffuseMorphCore.evaluation.paper.fitting import Budget, fit
from DiffuseMorphCore.evaluation.paper.preparation import Case, PreparedData, TrainingPairs
from DiffuseMorphCore.evaluation.paper.refinement import REFINED, refined
from DiffuseMorphCore.evaluation.paper.scoring import score_case, syn_trajectory
from DiffuseMorphCore.evaluation.records import Records
from DiffuseMorphCore.networks.configuration import ModelConfiguration
from DiffuseMorphCore.training.objective import LossWeights

TRUTHS = ("true", "true-scaled")


@dataclass
class Comparison:
    """What is compared, on which data, with which budget.

    methods : keys of `baselines.COMPARED`, "initial", "syn", and where the true motion is known, "true" and
    "true-scaled" (its end, scaled): the bounds of what can be reached; with "+refine" after it, the product's
    refinement starts from that method's field. weights : of the objective, the same registration term for all.
    cases : at most so many pairs of `split` are judged. Everything is kept under `out` and not done
    twice.
    """

    data: PreparedData
    configuration: ModelConfiguration
    weights: LossWeights
    budget: Budget
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    split: str
    cases: int | None
    out: Path
    device: torch.device
    quiet: bool = False
    _networks: dict = field(default_factory=dict)

    def settings(self) -> dict:
        """What decides the results, for the records and the page."""
        configuration = self.configuration
        return {
            "data set": self.data.data_set.name,
            "grid": list(self.data.grid or ()),
            "split": self.split,
            "networks": configuration.to_dict(),
            "weights": asdict(self.weights),
            "budget": asdict(self.budget),
        }

    def network(self, name: str, seed: int) -> torch.nn.Module:
        """The trained network, from the first use on in memory."""
        if (name, seed) not in self._networks:
            pairs = TrainingPairs(self.data, seed)
            self._networks = {
                (name, seed): fit(
                    name,
                    self.configuration,
                    self.weights,
                    self.budget,
                    pairs,
                    seed,
                    self.device,
                    self.out / "networks",
                    self.quiet,
                )
            }
        return self._networks[name, seed]

    def judged(self) -> list[Case]:
        """The cases that every method is judged on."""
        return [self.data.case(pair) for pair in self.data.pairs(self.split, self.cases)]

    def path(self, method: str, seed: int, case: Case) -> tuple[TrajectoryAt, float]:
        """The trajectory of one case by one method, and the seconds until its final field was there."""
        if method.endswith(REFINED):
            start = time.perf_counter()
            at, _ = self.path(method.removesuffix(REFINED), seed, case)
            better = refined(case, at, self.device)
            return better, time.perf_counter() - start
        if method == "initial":
            zeros = torch.zeros((1, case.moving.ndim - 2, *case.moving.shape[2:]))
            return (lambda eta: zeros), 0.0
        if method in TRUTHS:
            return self._true_motion(case, scaled=method == "true-scaled"), 0.0
        if method == "syn":
            return syn_trajectory(case, seed)
        if method not in COMPARED:
            raise DiffuseMorphError(
                f"There is no method '{method}' in the paper's tables: choose from initial, syn, "
                f"{', '.join((*TRUTHS, *COMPARED))}."
            )
        row = COMPARED[method]
        network = self.network(row.network, seed)
        moving, fixed = case.moving.to(self.device), case.fixed.to(self.device)
        start = time.perf_counter()
        at = trajectory(network, moving, fixed, row.form)
        at(1.0)
        return at, time.perf_counter() - start

    def _true_motion(self, case: Case, scaled: bool) -> TrajectoryAt:
        data_set = self.data.data_set
        if not hasattr(data_set, "true_displacement"):
            raise DiffuseMorphError(
                f"The true motion of {data_set.title} is not known: leave 'true' and 'true-scaled' out of --methods."
            )
        person = int(case.pair.fixed.subject.removeprefix("heart"))

        def at(eta: float) -> torch.Tensor:
            return torch.from_numpy(data_set.true_displacement(data_set.scan(person, eta)))[None]

        end = at(1.0)
        return (lambda eta: eta * end) if scaled else at

    def _score(self, method: str, seed: int, case: Case) -> dict:
        at, seconds = self.path(method, seed, case)
        return {
            "case": f"{case.name}/seed{seed}",
            "pair": case.name,
            "method": method,
            "seed": seed,
            "seconds": seconds,
            **score_case(case, at, self.data),
        }

    def seeds_of(self, method: str) -> tuple[int, ...]:
        """The seeds that a method is run with: nothing is random about the initial state, and SyN's seed is fixed."""
        return self.seeds if method.removesuffix(REFINED) in COMPARED else self.seeds[:1]

    def rows(self) -> dict[str, list[dict]]:
        """Method -> one row a case and seed; what the folder already holds is not run again."""
        records = Records(self.out, self.settings())
        cases = self.judged()
        found: dict[str, list[dict]] = {}
        for method in self.methods:
            found[method] = [
                records.row((method, f"seed{seed}", case.name), partial(self._score, method, seed, case))
                for seed in self.seeds_of(method)
                for case in cases
            ]
        records.write_csv("cases.csv", [row for rows in found.values() for row in rows])
        return found
