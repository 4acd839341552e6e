"""`diffusemorph synthesize`: an image drawn from the diffusion model, between the moving and the fixed one."""
from __future__ import annotations

import argparse
from pathlib import Path

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar

DESCRIPTION = """\
Make a synthetic image: MOVING is noised up to step --start of the diffusion, and the model takes the noise away again
in --steps steps, under the condition of both images (Algorithm 2 of the paper). The result lies on the grid of FIXED;
its values run from 0 to 1, in a PNG from 0 to 255."""

EXAMPLES = """\
examples:
  diffusemorph synthesize fixed.nii.gz moving.nii.gz --output synthetic.nii.gz
  diffusemorph synthesize fixed.nii.gz moving.nii.gz --output other.nii.gz --start 400 --steps 100 --seed 7"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser("synthesize", help="draw a synthetic image from the diffusion model",
                              description=DESCRIPTION, epilog=EXAMPLES)
    grammar.add_pair(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the image file to write")
    grammar.add_overwrite(parser, "a file")
    grammar.add_model(parser)
    grammar.add_alignment(parser)
    parser.add_argument("--start", type=grammar.positive, default=200, metavar="T",
                        help="diffusion step to start from; more is freer (default 200)")
    parser.add_argument("--steps", type=grammar.positive, default=80, metavar="N",
                        help="number of reverse steps, at most --start + 1 (default 80)")
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Synthesize, write the file, and name it."""
    import SimpleITK as sitk

    from DiffuseMorphCore.errors import DiffuseMorphError
    from DiffuseMorphCore.images import check_writable, image_suffix, write_image

    output = Path(arguments.output)
    if arguments.steps > arguments.start + 1:
        raise grammar.UsageError(f"From step {arguments.start} (--start) only {arguments.start + 1} steps lead back, "
                                 f"so --steps {arguments.steps} is too many.")
    if output.exists() and not arguments.overwrite:
        raise DiffuseMorphError(f"The output file '{output}' exists: name another, or give --overwrite.")
    check_writable(output)
    from DiffuseMorphCore.registration import synthesize_image

    with ProgressBar() as progress:
        image = synthesize_image(arguments.fixed, arguments.moving, model=arguments.model, device=arguments.device,
                                 align=arguments.align, start=arguments.start, steps=arguments.steps,
                                 seed=arguments.seed, threads=arguments.threads, progress=progress)
        if image_suffix(output) == ".png":
            image = sitk.Cast(sitk.Round(sitk.Clamp(image * 255, lowerBound=0, upperBound=255)), sitk.sitkUInt8)
        write_image(image, output)
    print(f"Wrote {output}.")
