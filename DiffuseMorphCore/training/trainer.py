"""The training loop: diffusion and deformation network together, end to end, in pieces of any length."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from DiffuseMorphCore.devices import choose_device, computes_in_bf16
from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError
from DiffuseMorphCore.networks.model import DiffuseMorph
from DiffuseMorphCore.networks.model_file import load_model
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.seeds import generator
from DiffuseMorphCore.training.average import moving_average
from DiffuseMorphCore.training.canonical_objective import CanonicalObjective
from DiffuseMorphCore.training.checkpoint import read_checkpoint, write_checkpoint
from DiffuseMorphCore.training.log import Table, TensorBoard, bar_of_steps
from DiffuseMorphCore.training.objective import JointObjective, LossWeights, draw
from DiffuseMorphCore.training.pair import PairSource, TrainingPair, stack
from DiffuseMorphCore.training.processes import Processes
from DiffuseMorphCore.training.result import TrainingResult
from DiffuseMorphCore.training.settings import TrainingRun
from DiffuseMorphCore.training.sources import build_sources
from DiffuseMorphCore.training.validation import validate

TERMS = (
    "loss",
    "noise",
    "warm_up",
    "similarity",
    "smoothness",
    "label_loss",
    "field_error",  # columns of the log
    "tissue",
    "tissue_dice",
    "canonical",
    "control_similarity",
)
_OBJECTIVE_STREAM = 1 << 29  # seeds of time steps and noise, apart from those of the pairs


class Trainer:
    """One process of a run."""

    def __init__(self, run: TrainingRun, resume: str = "auto") -> None:
        if resume not in ("auto", "never"):
            raise DiffuseMorphError(f"To resume a run, 'auto' and 'never' are possible, not '{resume}'.")
        self.run, self.folder = run, Path(run.output.folder)
        self.processes = Processes(choose_device(run.device))
        self.device, self.first = self.processes.device, self.processes.first
        last = self.folder / "last.pt"
        if last.is_file() and resume == "never":
            raise DiffuseMorphError(
                f"The folder '{self.folder}' already holds a training run: resume it, or choose another folder."
            )
        self.board = TensorBoard(self.folder / "tensorboard") if run.output.tensorboard and self.first else None
        self.sources = build_sources(run)
        torch.manual_seed(run.optimisation.seed)
        self._build_networks()
        self.step, self.best, self.validation = 0, -math.inf, {}
        self.sums: dict[str, list[float]] = {}
        if last.is_file():
            self._restore(last)
        if self.first:
            self._open_folder()
        self._pairs: list[TrainingPair] | None = None
        self._next: TrainingPair | None = None

    def _build_networks(self) -> None:
        run, optimisation, preset = self.run, self.run.optimisation, self.run.preset
        if run.model.start:
            model = load_model(run.model.start, ndim=preset.model.ndim).train()
        else:
            model = DiffuseMorph(preset.model)
        control = None if run.model.control == "none" else DiffuseMorph(replace(model.configuration, diffusion=None))
        if control is not None:  # both start from the same weights
            control.deformation.load_state_dict(model.deformation.state_dict())
        if run.model.control == "alone":
            model, control = control, None
        self.model, self.control = model, control
        objective = CanonicalObjective if model.is_canonical else JointObjective
        self.objective: nn.Module = objective(model, run.loss, control).to(self.device)
        # Channels last in memory makes convolutions of few channels quicker, on CPUs by a sixth of a step.
        self.objective.to(memory_format=torch.channels_last if model.ndim == 2 else torch.channels_last_3d)
        self.objective = self.processes.share(self.objective)
        self.rate = preset.training.learning_rate if optimisation.learning_rate is None else optimisation.learning_rate
        self.batch = optimisation.batch or preset.training.batch_size
        self.optimiser = torch.optim.Adam(
            self.objective.parameters(), lr=self.rate, betas=optimisation.betas or preset.training.betas
        )
        self.average = moving_average(self.model, optimisation.average) if optimisation.average else None
        pairs_a_step = self.batch * optimisation.accumulation * self.processes.count
        epochs = optimisation.epochs or preset.training.epochs
        self.steps = optimisation.steps or math.ceil(
            epochs * getattr(self.sources[-1][1], "pair_count", 1000) / pairs_a_step
        )

    def _open_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise DiffuseMorphError(
                f"The folder '{self.folder}' for the training run cannot be made: choose another one."
            ) from problem
        self.log = Table(self.folder / "log.csv", self.step, ("step", "rate", *TERMS))
        self.validation_log = Table(self.folder / "validation.csv", self.step)

    def train(self, max_minutes: float | None, max_steps: int | None, progress: Progress | None) -> TrainingResult:
        """Work until the run is finished or its time is up; see train()."""
        start = saved = time.monotonic()
        goal = self.steps if max_steps is None else min(self.steps, self.step + max_steps)
        cancelled = None
        with bar_of_steps(self.steps, self.step) if progress is None and self.first else nullcontext() as bar:
            while self.step < goal and not cancelled:
                terms = self._one_step()
                self.step += 1
                if bar is not None:
                    bar.update()
                    bar.set_postfix(loss=f"{terms['loss']:.3f}", refresh=False)
                try:
                    advance(progress if self.first else None, "train", self.step / self.steps)
                except Cancelled as reason:
                    cancelled = reason
                now = time.monotonic()
                late = max_minutes is not None and now - start > 60 * max_minutes
                stop = self.processes.agree(late or cancelled is not None)
                last = stop or self.step == goal
                if self.first:
                    self._record(terms, last and not cancelled)
                    if last or now - saved > 60 * self.run.output.checkpoint_minutes:
                        self._save("last.pt")
                        saved = time.monotonic()
                if stop:
                    break
        if cancelled:
            raise cancelled
        return TrainingResult(self.step, self.steps, self.folder, self.validation)

    def _one_step(self) -> dict[str, float]:
        """One update of the weights; returns the terms of the objective, averaged over the accumulated batches."""
        optimisation = self.run.optimisation
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate_now()
        self.optimiser.zero_grad()
        terms: dict[str, float] = {}
        for part in range(optimisation.accumulation):
            number = (self.step * optimisation.accumulation + part) * self.processes.count + self.processes.rank
            pair = self._next if self._next is not None else self._pair(self.step, number)
            self._next = None
            drawn = draw(
                pair,
                self._weights_now(),
                len(self.model.schedule),
                generator(optimisation.seed, _OBJECTIVE_STREAM + number),
            )
            # Gradients of several processes need to meet only once, at the last batch.
            waiting = self.processes.count > 1 and part + 1 < optimisation.accumulation
            with self.objective.no_sync() if waiting else nullcontext():
                with self._precision():
                    found = self.objective(pair, drawn)
                values = self._read(found, number, last=part + 1 == optimisation.accumulation)
                (found["loss"] / optimisation.accumulation).backward()
            for name, value in zip(found, values):
                terms[name] = terms.get(name, 0.0) + value / optimisation.accumulation
        if optimisation.clip:
            nn.utils.clip_grad_norm_(self.objective.parameters(), optimisation.clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return terms

    def _read(self, found: dict[str, torch.Tensor], number: int, last: bool) -> list[float]:
        """The terms of the objective as numbers, read back at once.

        Raises DiffuseMorphError when the loss is not finite: its gradient would be useless, and sampling at NaN unsafe.
        """
        if self.device.type == "cuda" and last and self.step + 1 < self.steps:
            # Ordered before the reading, which waits for a GPU, so that it has work meanwhile.
            self._next = self._pair(self.step + 1, number + self.processes.count)
        values = torch.stack([value.detach().float() for value in found.values()]).tolist()
        if not math.isfinite(values[list(found).index("loss")]):
            raise DiffuseMorphError(
                f"The loss is no longer finite at step {self.step + 1}: resume with a "
                "smaller learning rate, or set 'optimisation.clip' to 1."
            )
        return values

    def _pair(self, step: int, number: int) -> TrainingPair:
        """The batch with a number, of the source that a step takes its pairs from."""
        source: PairSource = next(source for until, source in self.sources if until is None or step < until)
        return stack([source.draw(number * self.batch + index, self.device) for index in range(self.batch)])

    def _weights_now(self) -> LossWeights:
        stage = next((stage for stage in self.run.stages if self.step < stage.until), None)
        return (
            self.run.loss if stage is None else replace(self.run.loss, warm_up=self.run.loss.warm_up or stage.warm_up)
        )

    def _rate_now(self) -> float:
        optimisation = self.run.optimisation
        rate = self.rate * min(1.0, (self.step + 1) / max(optimisation.warm_up, 1))
        if optimisation.decay == "cosine":
            falling = 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
            rate *= optimisation.final_rate + (1 - optimisation.final_rate) * falling
        return rate

    def _precision(self):
        """bf16 where the device computes with it natively; elsewhere it would only be slower."""
        if self.run.optimisation.precision == "auto" and computes_in_bf16(self.device):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _record(self, terms: dict[str, float], last: bool) -> None:
        """Write the logs that are due, validate, and keep the best model."""
        for name, value in terms.items():
            self.sums.setdefault(name, []).append(value)
        if self.step % self.run.output.log_every == 0:
            means = {name: sum(values) / len(values) for name, values in self.sums.items()}
            row = {"step": self.step, "rate": self._rate_now(), **means}
            self.log.add(row)
            if self.board:
                self.board.add("training", row)
            self.sums = {}
        if self.step % self.run.validation.every == 0 or last:
            self._validate()

    def _validate(self) -> None:
        source = self.sources[-1][1]
        if self._pairs is None:
            self._pairs = source.validation(self.device)
        if not self._pairs:
            return
        model = self.model if self.average is None else self.average.module
        model.eval()
        self.validation = validate(model, self._pairs, self.run.loss.window, self.control)
        model.train()
        row = {"step": self.step, **self.validation}
        self.validation_log.add(row)
        if self.board:
            self.board.add("validation", row)
        figure = self.validation.get(self.run.validation.choose, self.validation["similarity"])
        if figure > self.best:
            self.best = figure
            self._save("best.pt")

    def _save(self, name: str) -> None:
        write_checkpoint(
            self.folder / name,
            {
                "step": self.step,
                "best": self.best,
                "validation": self.validation,
                "sums": self.sums,
                "configuration": self.model.configuration.to_dict(),
                "settings": self.run.to_dict(),
                "model": self.model.state_dict(),
                "average": self.average and self.average.module.state_dict(),
                "averaged": int(self.average.n_averaged) if self.average else 0,
                "control": self.control and self.control.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
        )

    def _restore(self, path: Path) -> None:
        content = read_checkpoint(path)
        fits = (
            content["configuration"] == self.model.configuration.to_dict()
            and (content["control"] is None) == (self.control is None)
            and (content["average"] is None) == (self.average is None)
        )
        if not fits:
            raise DiffuseMorphError(
                f"The run in '{self.folder}' has other networks, or another choice of control and "
                "moving average, than these settings: choose another folder."
            )
        self.model.load_state_dict(content["model"])
        if self.average is not None:
            self.average.module.load_state_dict(content["average"])
            self.average.n_averaged.fill_(content["averaged"])
        if self.control is not None:
            self.control.load_state_dict(content["control"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step, self.best = content["step"], content["best"]
        self.validation, self.sums = content["validation"], content["sums"]

    def close(self) -> None:
        """Leave the group of processes, finish the log."""
        if self.board:
            self.board.close()
        self.processes.leave()
