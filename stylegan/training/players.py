"""What the phases ask of the two players, and the precision that they answer in."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stylegan.distributed.batch_split import join, separate
from stylegan.distributed.collectives import rank
from stylegan.machine.devices import device_text
from stylegan.networks.precision import (
    GPU_NUM_HALF_RES,
    PRECISIONS,
    is_unlimited,
    lower,
    precision_on,
    recompute_in,
)
from stylegan.training.compiled import CompiledPlayers
from stylegan.training.draws import Draw

_REGULARISERS = ("Greg", "Dreg")

# Images, labels, and draws of the pipe: what is judged.
Judged = tuple[Tensor, Tensor | None, dict[str, Tensor] | None]


class Players:
    """For a module with `generator`, `generator_ema`, `discriminator`, `augment` and `path_length`."""

    def set_precision(
        self, precision: str, regulariser_precision: str, num_half_res: int | None, tf32: bool
    ) -> None:
        """What the networks shall compute in; sums, penalties and weights are float32 in any case.

        Args:
            precision: auto, fp32, bf16 or fp16 (see `precision_on`).
            regulariser_precision: of R1 and path length: auto = the same, or fp32.
            num_half_res: so many of the highest resolutions are lowered; None = 4 on GPUs, all on CPUs.
            tf32: let a GPU round the factors of float32 products to 10 bits.
        Raises: ValueError for a value that makes no sense anywhere.
        """
        if precision not in (*PRECISIONS, "auto"):
            raise ValueError(f"precision={precision}: it must be auto, {', '.join(PRECISIONS)}")
        if regulariser_precision not in ("auto", "fp32"):
            raise ValueError(f"regulariser_precision={regulariser_precision}: it must be auto or fp32")
        if num_half_res is not None and num_half_res < 0:
            raise ValueError(f"num_half_res must be at least 0, or null; got {num_half_res}")
        self.regulariser_precision = regulariser_precision
        self._asked = precision, num_half_res
        self._tf32 = tf32
        self.precision: str | None = None
        # Of the checkpoint that a run goes on from.
        self.precision_before: str | None = None

    def settle_precision(self, device: torch.device) -> None:
        """Choose for the device that training is on.

        Raises: ValueError where it cannot compute so, or where float16 would run over.
        """
        asked, num_half_res = self._asked
        chosen = precision_on(device, asked)
        unclamped = [name for name in ("generator", "discriminator") if is_unlimited(getattr(self, name))]
        if chosen == "fp16" and unclamped:
            if asked != "auto":
                raise ValueError(
                    f"precision=fp16 needs a limit of activations, and {unclamped[0]}.conv_clamp is null; set it to"
                    " 256, or precision=fp32"
                )
            chosen = "fp32"
        self.precision = lower(self.generator_ema, device, chosen, num_half_res=num_half_res)
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self._tf32

    def start_lines(self) -> Iterator[str]:
        """What is to be said when training starts: where it computes, and how exactly."""
        yield f"device      {device_text(self.device)}"
        if self.device.type not in ("cpu", "cuda"):
            yield (
                f"note        nobody has compared what {self.device.type} computes with what a CPU does;"
                " trainer=cpu is sure"
            )
        _, num_half_res = self._asked
        text = f"precision   {self.precision}"
        if self.precision != "fp32":
            if num_half_res is None and self.device.type != "cpu":
                num_half_res = GPU_NUM_HALF_RES
            text += (
                "" if num_half_res is None else f" in the {num_half_res} highest resolutions, the others fp32"
            )
            text += "; R1 and path length fp32" if self.regulariser_precision == "fp32" else ""
        yield text
        if self.precision_before not in (None, self.precision):
            yield (
                f"note        computed in {self.precision_before} so far, from here on in {self.precision}: the same"
                f" training, but not the same bits; precision={self.precision_before} keeps them"
            )

    def set_compile(self, compile: str | bool, activation_checkpointing: bool = False) -> None:
        """Whether the main phases run as compiled graphs: true, false, or auto; and whether they keep activations.

        auto compiles nowhere yet: on a CPU it brings nothing, needs a C++ compiler and takes time at every start; on
        GPUs nobody has measured it. R1 and path length keep their activations in any case: what they compute again
        would have to be kept for the second derivative.
        Raises: ValueError for another word.
        """
        if compile not in (True, False, "auto"):
            raise ValueError(f"compile={compile}: it must be auto, true or false")
        self.wants_compiled, self.activation_checkpointing = compile is True, activation_checkpointing
        self._compiled: CompiledPlayers | None = None
        self._main_phase = False

    def compile_players(self, n: int) -> None:
        """Compile, where that is wanted, for parts of n samples, and say so.

        Where it fails, for want of a compiler perhaps, training goes on without.
        """
        if not self.wants_compiled:
            return
        self.compute_for("Gmain")
        try:
            compiled = CompiledPlayers(self.generator, self.discriminator)
            line = compiled.try_out(n, self._steps.learning)
            self._compiled = compiled
        # Whatever a compiler or the tools that it calls may raise.
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            line = f"note        compile=true failed, going on without: {reason[:200]}"
        if not rank():
            print(line, flush=True)

    def compute_for(self, phase: str) -> None:
        """Set both players to the precision of a phase."""
        self._main_phase = phase not in _REGULARISERS
        _, num_half_res = self._asked
        lowered = self._main_phase or self.regulariser_precision == "auto"
        chosen = self.precision if lowered and self.precision is not None else "fp32"
        for player in (self.generator, self.discriminator):
            lower(player, self.device, chosen, num_half_res=num_half_res)
            recompute_in(player, self.activation_checkpointing and self._main_phase)

    def synthesize(self, ws: Tensor, noise: dict[str, Tensor]) -> Tensor:
        """Images [n,C,H,W] of ws [n,L,W]."""
        run = self._compiled.synthesis if self._compiled and self._main_phase else self.generator.synthesis
        return run(ws, noise_mode="random", noise=noise)

    def latents(self, part: Draw) -> Tensor:
        """ws [n,L,W], the entries from the cut-off on from the second latent."""
        ws = self.generator.mapping(part.z, part.c, track_average=False)
        if part.mixing_z is None:
            return ws
        other = self.generator.mapping(part.mixing_z, part.c, track_average=False)
        return torch.cat([ws[:, : part.mixing_cutoff], other[:, part.mixing_cutoff :]], dim=1)

    @property
    def has_path_length(self) -> bool:
        """Whether lengths are penalised. At weight 0 the penalty stays a part of the module: its mean is saved."""
        return self.path_length is not None and bool(self.path_length.weight)

    def path_lengths(self, part: Draw, track, *, create_graph: bool) -> Tensor:
        """[n]; `track` gets the ws, None = nobody does."""
        ws = self.latents(part)
        ws = ws if track is None else track(ws)
        fakes = self.synthesize(ws, part.noise)
        return self.path_length.lengths(fakes, ws, part.path_noise, create_graph=create_graph)

    def judge(self, images: Tensor, labels: Tensor | None, augmentation: dict[str, Tensor] | None) -> Tensor:
        """Logits [n,1] of images [n,C,H,W], augmented where there are draws."""
        if augmentation is not None:
            images = self.augment(images, draws=augmentation)
        run = self._compiled.judge if self._compiled and self._main_phase else self.discriminator
        return run(images, labels)

    def judge_both(self, fakes: Judged, reals: Judged) -> tuple[Tensor, Tensor]:
        """Logits of fakes and of reals, in one pass where they would not be compared with each other."""
        n = len(fakes[0])
        group = getattr(self.discriminator, "group_size", None)
        if group is None or n % group or len(reals[0]) != n:
            return self.judge(*fakes), self.judge(*reals)
        images = join(fakes[0], reals[0], group)
        # A discriminator without labels beside a generator with labels is handed those of fakes alone.
        labels = None if fakes[1] is None or reals[1] is None else join(fakes[1], reals[1], group)
        draws = None if fakes[2] is None else {k: join(fakes[2][k], reals[2][k], group) for k in fakes[2]}
        return separate(self.judge(images, labels, draws), group)
