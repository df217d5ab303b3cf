"""The training loop: readable in one sitting."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn

from nelbo.core import Batch, Loss, Objective, Phase, Solver
from nelbo.data.batches import Batches, Walk
from nelbo.errors import TrainingError
from nelbo.noise import apart, own_noise
from nelbo.objectives.schedules import Schedule
from nelbo.train.average import MovingAverage
from nelbo.train.checkpoint import Checkpoints, TrainState, load_checkpoint, save_checkpoint
from nelbo.train.engine import Engine, Forward
from nelbo.train.figures import Groups, LatentWatch, Look, groups_of, memory
from nelbo.train.images import Paint
from nelbo.train.interruption import Interrupted, Request, listening
from nelbo.train.monitor import EpochRecord, Ledger, Listener, StepRecord, Watcher
from nelbo.train.optimisers import Factor, optimiser
from nelbo.train.rhythm import EVERY_MINUTE, Rhythm

SHOW_EVERY = 0.2  # seconds between looks of a listener inside an epoch
LOOK_EVERY = 100  # steps between looks for a non-finite loss where looking makes the device wait


@final
@dataclass(frozen=True)
class Plan:
    """How long and how: what the loop needs of the settings, resolved to steps."""

    steps: int
    lr: float
    lr_factor: Factor
    optimiser: str
    warmup: Schedule
    clip: float | None = None
    patience: int | None = None  # epochs
    keep_best: bool = True
    time_limit: float | None = None  # seconds
    save: Rhythm = EVERY_MINUTE  # checkpoints
    average: float | None = None  # decay of the moving average of the weights that is kept
    log: Rhythm | None = None  # steps that are looked at and recorded
    images: Rhythm | None = None  # epochs after which pictures are painted


@final
@dataclass(frozen=True, eq=False)
class Stepper:
    """One phase as the loop sees it: its loss, what it trains, and by what."""

    phase: Phase
    forward: Forward
    optimiser: torch.optim.Optimizer
    trained: Sequence[nn.Parameter]
    groups: Groups  # its parameters by the part they belong to
    lr: float

    @classmethod
    def of(cls, phase: Phase, plan: Plan, engine: Engine) -> Stepper:
        forward = engine.prepare(phase)
        lr = phase.lr or plan.lr
        made = optimiser(phase.optimiser or plan.optimiser, phase.parameters(), lr)
        trained = [p for group in made.param_groups for p in group["params"]]
        return cls(phase, forward, made, trained, groups_of(phase), lr)

    def step(self, loss: Loss, clip: float | None, look: Look | None = None) -> None:
        """One update from a loss; the gradients of the step stay readable until the next."""
        loss.loss.backward()  # type: ignore[no-untyped-call]
        if look is not None:
            look.at_gradients(self.groups)
        if clip is not None:
            nn.utils.clip_grad_norm_(self.trained, clip)
        self.optimiser.step()


@final
class Trainer:
    """Fits an objective to batches: in every step each of its phases that is due, in their order.

    Parameters
    ----------
    objective
        What is minimised; it is trained in place.
    train, validation
        Batches; the order is a function of (seed, epoch). Without validation, or a phase of the objective that is
        validated, the last weights are kept.
    plan, engine
        How long, and where.
    checkpoints
        Where the state is kept, or None to keep none.
    listeners
        Told of steps and epochs.
    latents
        Looks at the latents after epochs, or None to leave that out.
    paint
        Makes pictures of the model, or None for none.
    frozen
        Modules that stay as they are: no running statistics move, nothing is dropped.
    """

    def __init__(
        self,
        objective: Objective,
        train: Batches,
        validation: Batches | None,
        plan: Plan,
        engine: Engine,
        checkpoints: Checkpoints | None = None,
        listeners: Sequence[Listener] = (),
        latents: LatentWatch | None = None,
        paint: Paint | None = None,
        frozen: Sequence[nn.Module] = (),
    ) -> None:
        self.objective = objective
        self.batches = train
        self.validation = None if objective.validated is None else validation
        self.plan = plan
        self.listeners = listeners
        self._watchers = [listener for listener in listeners if isinstance(listener, Watcher)]
        self.checkpoints = checkpoints
        self.state = TrainState()
        self._device = engine.device
        self._steppers = [Stepper.of(phase, plan, engine) for phase in objective.phases]
        self._main = self._steppers[0]
        self._validated = next((s for s in self._steppers if s.phase is objective.validated), self._main)
        trained = [p for stepper in self._steppers for p in stepper.trained]
        self._average = None if plan.average is None else MovingAverage(trained, plan.average)
        self._latents = latents
        self._paint = paint
        self._frozen = tuple(frozen)
        self._walk: Walk | None = None
        self._gradients: dict[str, float] = {}  # norms at the last step that was looked at
        self._saved = self._logged = self._painted = time.monotonic()
        self._counted = time.perf_counter()  # up to when `state.seconds` counts

    def resume(self, chosen: str | None = None) -> None:
        """Go on from the newest checkpoint, or a chosen one; the random state is torch's global one from here on."""
        if self.checkpoints is None:
            return
        stage = self.checkpoints.stage
        found = self.checkpoints.load(
            lambda file: load_checkpoint(file, self.objective, self.optimisers, stage), chosen
        )  # fmt: skip
        if found is None:
            return
        self.state = found
        if self._average is not None:
            self._average.restore(found.average)
        if found.step < self.plan.steps and found.stopped.startswith("time limit"):
            found.stopped = ""

    def fit(self) -> TrainState:
        """Train to the end of the plan and leave the objective with the weights to keep.

        Raises
        ------
        TrainingError
            If the loss turns non-finite: the message says in which epoch and step, in which term, and in which
            parameter; the last checkpoint stays as it was.
        Interrupted
            On Ctrl-C or SIGTERM, after the step that runs, when the state is saved.
        """
        total = math.ceil(self.plan.steps / len(self.batches))
        for listener in self.listeners:
            listener.stands_at(self.state.step)
            listener.started(total, self.batches.rows, self.state.epoch)
        self._counted = time.perf_counter()
        with listening() as request:
            if self.objective.solver is not None and not self.state.stopped:
                self._solve(self.objective.solver, request)
            while not self.state.stopped:
                record, is_best = self._epoch(request)
                self.state.stopped = self._reason_to_stop()
                for listener in self.listeners:
                    listener.finished_epoch(record, is_best)
                # Last: a resumed run drops records that the checkpoint lacks.
                self._save_if_due(request, force=bool(self.state.stopped))
        if self.plan.keep_best and self.state.best_weights:
            self.objective.load_state_dict(self.state.best_weights)
        elif self._average is not None:
            self._average.load()
        for listener in self.listeners:
            listener.finished(self.state.stopped)
        return self.state

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimiser of each phase, by its name."""
        return {stepper.phase.name: stepper.optimiser for stepper in self._steppers}

    def steps(self, epoch: int, ledger: Ledger) -> Iterator[None]:
        """The steps of an epoch, each taken when it is asked for: whoever iterates may do something in between."""
        state, shown = self.state, time.perf_counter()
        pace = _Pace(ledger)
        self._to_training()
        self._walk = self.batches.epoch(epoch, state.position, state.noise.get("epoch"))
        for batch in self._walk:
            if state.step >= self.plan.steps:
                break
            self._set_rates(state.step)
            look = self._look(epoch)
            for stepper in self._steppers:
                if state.step % stepper.phase.every == 0:
                    for parameter in stepper.trained:  # what zero_grad does in many more words
                        parameter.grad = None
                    for watcher in self._watchers:
                        watcher.before(state.step, self.objective)
                    loss = stepper.forward(batch)
                    self._check(loss, stepper.forward, batch)
                    stepper.step(loss, self.plan.clip, look)
                    for watcher in self._watchers:
                        watcher.after(state.step)
                    ledger.of(stepper.phase.name).add(loss, len(batch))
                    if look is not None:
                        look.at_loss(stepper.phase.name, loss, len(batch))
            state.step += 1
            state.position += 1
            if self._average is not None:
                self._average.update(state.step)
            if look is not None:
                self._seen(look, epoch, pace)
            if time.perf_counter() - shown > SHOW_EVERY:
                shown = time.perf_counter()
                for listener in self.listeners:
                    listener.stepped(epoch, state.position / len(self.batches), ledger)
            yield
        self._walk, state.position, state.noise, state.sums = None, 0, {}, {}

    def _to_training(self) -> None:
        self.objective.train()
        for module in self._frozen:
            module.eval()

    def walk(self) -> Iterator[int]:
        """The steps of a training from the first on, epoch after epoch with nothing in between: how many are done."""
        yield 0
        for epoch in itertools.count(1):
            for _ in self.steps(epoch, Ledger()):
                yield self.state.step
            if self.state.step >= self.plan.steps:
                return

    def _solve(self, solver: Solver, request: Request) -> None:
        """Let a solver fit the model; what an epoch would record is recorded once, at its result."""
        state, shown, started = self.state, Ledger(), time.perf_counter()

        def tell(share: float) -> None:
            for listener in self.listeners:
                listener.stepped(1, share, shown)

        with torch.no_grad():
            solver.fit(self.objective.model, self.batches.fixed, tell)
            if bad := _non_finite(self.objective):
                raise TrainingError(
                    f"the solver left parameter {bad[0]!r} non-finite; look for huge values in the data"
                )
            self.objective.eval()
            ledger = Ledger()
            with own_noise(device=self._device):
                for batch in self.batches.fixed():
                    ledger.add(self._main.forward(batch), len(batch))
        state.epoch = state.step = 1
        held_out, latents = self._validate(), self.look_at_latents(1)
        self._paint_if_due(1)
        self._count_time()
        pace = self.batches.rows / max(1e-9, time.perf_counter() - started)
        record = EpochRecord(
            1, 1, ledger.summary(), held_out, {}, 0.0, pace, round(state.seconds, 3), {}, memory(self._device), latents
        )  # fmt: skip
        state.stopped = "solved"
        for listener in self.listeners:
            listener.finished_epoch(record, True)
        self._save_if_due(request, force=True)

    def _epoch(self, request: Request) -> tuple[EpochRecord, bool]:
        """The rest of an epoch, and its validation."""
        state, started = self.state, time.perf_counter()
        ledger, epoch = Ledger.from_json(state.sums) if state.sums else Ledger(), state.epoch + 1
        self._gradients = dict(state.sums.get("gradients", {}))
        before = ledger.rows
        settled = state.step - state.position >= self.plan.warmup.settled_from
        for _ in self.steps(epoch, ledger):
            self._save_if_due(request, ledger)
        took = time.perf_counter() - started
        state.epoch = epoch
        weights, lr = self._weights(), self._lr()
        with nullcontext() if self._average is None else self._average.in_place():
            held_out = self._validate()
            latents = self.look_at_latents(epoch)
            self._paint_if_due(epoch)
            is_best = self._is_best(held_out.get("loss"), settled)
        self._count_time()
        pace = (ledger.rows - before) / took
        record = EpochRecord(
            epoch, state.step, ledger.summary(), held_out, weights, lr, pace, round(state.seconds, 3),
            self._gradients, memory(self._device), latents,
        )  # fmt: skip
        return record, is_best

    def _look(self, epoch: int) -> Look | None:
        """For the step to come: whether, and for what, it is looked at: to be logged, or as the last of its epoch."""
        state, step = self.state, self.state.step + 1
        is_last = state.position + 1 == len(self.batches) or step == self.plan.steps
        is_logged = self.plan.log is not None and self.plan.log.is_due(step, epoch, is_last, self._logged)
        return Look(is_logged) if is_logged or is_last else None

    def _seen(self, look: Look, epoch: int, pace: _Pace) -> None:
        """Keep what a step showed, and tell it."""
        self._gradients = look.gradients
        if not look.is_logged:
            return
        self._logged = time.monotonic()
        record = StepRecord(
            epoch, self.state.step, look.figures(), look.gradients, self._weights(), self._lr(), pace(),
            memory(self._device), round(self.state.seconds + time.perf_counter() - self._counted, 3),
        )  # fmt: skip
        for listener in self.listeners:
            listener.logged(record)

    def _weights(self) -> dict[str, float]:
        """Those that a warm-up moves, as they were at the last step."""
        return dict(self._main.phase.warm_up(self.plan.warmup(max(0, self.state.step - 1))))

    def _lr(self) -> float:
        return float(self._main.optimiser.param_groups[0]["lr"])

    def look_at_latents(self, epoch: int) -> dict[str, Any]:
        """What the latents do, where it is time to look, after an epoch; else nothing."""
        if self._latents is None or not self._latents.is_due(epoch, self.state.step >= self.plan.steps):
            return {}
        self.objective.eval()
        with apart(self._device):
            return self._latents()

    def _paint_if_due(self, epoch: int) -> None:
        state, plan = self.state, self.plan
        if self._paint is None or plan.images is None:
            return
        if not plan.images.is_due(state.step, epoch, True, self._painted) and state.step < plan.steps:
            return
        self.objective.eval()
        with apart(self._device):
            pictures = self._paint()
        self._painted = time.monotonic()
        for listener in self.listeners:
            listener.painted(state.step, epoch, pictures)

    def _set_rates(self, step: int) -> None:
        factor = self.plan.lr_factor(step / self.plan.steps)
        for stepper in self._steppers:
            for group in stepper.optimiser.param_groups:
                group["lr"] = stepper.lr * factor
        if step <= self.plan.warmup.settled_from:
            self._main.phase.warm_up(self.plan.warmup(step))

    def _validate(self) -> dict[str, float]:
        """The held-out loss and bound at the final weights, with the same noise after every epoch."""
        if self.validation is None:
            return {}
        self._main.phase.warm_up(1.0)
        self.objective.eval()
        ledger = Ledger()
        with own_noise(device=self._device), torch.no_grad():
            for batch in self.validation.fixed():
                ledger.add(self._validated.forward(batch), len(batch))
        return ledger.summary()

    def _is_best(self, loss: float | None, settled: bool) -> bool:
        state = self.state
        if loss is None or not math.isfinite(loss):
            return False
        if not settled:
            state.waiting_since = state.epoch  # patience starts after the warm-up
        if state.best is not None and loss >= state.best:
            return False
        state.best, state.best_epoch, state.waiting_since = loss, state.epoch, state.epoch
        if self.plan.keep_best:
            state.best_weights = {k: v.detach().clone() for k, v in self.objective.state_dict().items()}
        return True

    def _reason_to_stop(self) -> str:
        state, plan = self.state, self.plan
        if state.step >= plan.steps:
            return f"all {plan.steps} steps done"
        if (
            plan.patience is not None
            and self.validation is not None
            and state.epoch - state.waiting_since >= plan.patience
        ):
            return f"no better validation loss in {plan.patience} epochs"
        if plan.time_limit is not None and state.seconds >= plan.time_limit:
            return f"time limit of {plan.time_limit:.0f} s reached"
        return ""

    def _save_if_due(self, request: Request, ledger: Ledger | None = None, force: bool = False) -> None:
        """Keep the state where it is time to, or where the training is asked to end, which it then does.

        Within an epoch its `ledger` is given, after an epoch none.
        """
        state, asked = self.state, request.signal is not None
        due = self.plan.save.is_due(state.step, state.epoch, ledger is None, self._saved)
        if not (due or asked or force):
            return
        if bad := _non_finite(self.objective):
            if force or asked:
                raise TrainingError(f"parameter {bad[0]!r} turned non-finite in step {state.step}; {self._way_out}")
            return  # the next step will say where; the last good checkpoint stays
        if self.checkpoints is not None:
            self._count_time()
            state.sums = {} if ledger is None else {**ledger.as_json(), "gradients": self._gradients}
            state.noise = {} if self._walk is None else {"epoch": self._walk.noise}
            state.average = {} if self._average is None else self._average.state()
            stage = self.checkpoints.stage
            self.checkpoints.save(
                state.step, lambda path: save_checkpoint(path, state, self.objective, self.optimisers, stage)
            )
            self._saved = time.monotonic()
        if request.signal is not None and not force:
            raise Interrupted(request.signal)

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.state.seconds += now - self._counted
        self._counted = now

    def _check(self, loss: Loss, forward: Forward, batch: Batch) -> None:
        """Stop at a non-finite loss, before it reaches the weights (on an accelerator: soon after)."""
        if self._device.type != "cpu" and self.state.step % LOOK_EVERY:
            return
        if not math.isfinite(loss.loss.item()):
            seen = [said for watcher in self._watchers if (said := watcher.explain(forward, batch))]
            raise TrainingError("; ".join([_diagnosis(loss, self.objective, self.state), self._way_out, *seen]))

    @property
    def _way_out(self) -> str:
        kept = self.checkpoints is not None and self.checkpoints.files
        return f"lower --lr or add --clip 100{' (the last good checkpoint is kept)' if kept else ''}"


@final
class _Pace:
    """Rows a second since it was last asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rows, self._since = ledger.rows, time.perf_counter()

    def __call__(self) -> float:
        rows, now = self._ledger.rows, time.perf_counter()
        pace = (rows - self._rows) / (now - self._since)
        self._rows, self._since = rows, now
        return pace


def _diagnosis(loss: Loss, objective: Objective, state: TrainState) -> str:
    """Where a non-finite loss appeared: epoch, step, terms, and parameter if one is to blame."""
    terms = [name for name, part in loss.parts.items() if not bool(torch.isfinite(part).all())]
    bad = _non_finite(objective)
    where = f"parameter {bad[0]!r} holds NaN or infinity" if bad else f"{_largest(objective)}"
    return (
        f"the loss turned non-finite in epoch {state.epoch + 1}, step {state.step + 1}, in the term "
        f"{' and in '.join(map(repr, terms or ['loss']))}; {where}"
    )


def _non_finite(objective: Objective) -> list[str]:
    return [name for name, p in objective.named_parameters() if not bool(torch.isfinite(p).all())]


def _largest(objective: Objective) -> str:
    name, size = max(((n, float(p.detach().abs().max())) for n, p in objective.named_parameters()), key=lambda x: x[1])
    return f"all parameters are finite still, the largest value is {size:.3g} in {name!r}"
