"""`diffusemorph synthesize`: an image drawn from the diffusion model, between the moving and the fixed one."""
from __future__ import annotations

import argparse
from pathlib import Path

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar

DESCRIPTION = """\
Make a synthetic image: the fixed image is noised up to step --start of the diffusion, and the model takes the noise
away again in --steps steps, under the condition of both images (Algorithm 2 of the paper). The result lies on the grid
of FIXED."""

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
    parser.add_argument("--start", type=grammar.positive, default=200, metavar="T",
                        help="diffusion step to start from; more is freer (default 200)")
    parser.add_argument("--steps", type=grammar.positive, default=80, metavar="N",
                        help="number of reverse steps, at most --start (default 80)")
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Synthesize, write the file, and name it."""
    from DiffuseMorphCore.errors import DiffuseMorphError
    from DiffuseMorphCore.images import check_writable, write_image

    output = Path(arguments.output)
    if arguments.steps > arguments.start:
        raise grammar.UsageError(f"There are only {arguments.start} steps to take back (--start), "
                                 f"so --steps {arguments.steps} is too many.")
    if output.exists() and not arguments.overwrite:
        raise DiffuseMorphError(f"The output file '{output}' exists: name another, or give --overwrite.")
    check_writable(output)
    from DiffuseMorphCore.registration import synthesize_image

    with ProgressBar() as progress:
        image = synthesize_image(arguments.fixed, arguments.moving, model=arguments.model, device=arguments.device,
                                 start=arguments.start, steps=arguments.steps, seed=arguments.seed, progress=progress)
        write_image(image, output)
    print(f"Wrote {output}.")
