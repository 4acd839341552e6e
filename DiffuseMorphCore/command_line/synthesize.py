"""`diffusemorph synthesize`: an image drawn from the diffusion model, between the moving and the fixed one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar
from DiffuseMorphCore.command_line.console_text import say
from DiffuseMorphCore.errors import OptionError

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
    parser = verbs.add_parser(
        "synthesize", help="draw a synthetic image from the diffusion model", description=DESCRIPTION, epilog=EXAMPLES
    )
    grammar.add_pair(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the image file to write")
    grammar.add_overwrite(parser, "a file")
    grammar.add_resample_slices(parser)
    grammar.add_options(parser, "model", "device", "threads", "seed", "align")
    parser.add_argument(
        "--start",
        type=grammar.positive,
        default=200,
        metavar="T",
        help="diffusion step to start from; more is freer (default 200)",
    )
    parser.add_argument(
        "--steps",
        type=grammar.positive,
        default=80,
        metavar="N",
        help="number of reverse steps, at most --start + 1 (default 80)",
    )
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Synthesize, write the file, and name it."""
    import SimpleITK as sitk

    from DiffuseMorphCore.images import check_writable, image_suffix, itk_name, printable, read_image, write_image
    from DiffuseMorphCore.images.arrays import NamedImage
    from DiffuseMorphCore.images.formats import FLAT, LARGEST_SHIFT, shift_in_format

    output = Path(itk_name(arguments.output))
    if arguments.steps > arguments.start + 1:
        raise OptionError(
            f"From step {arguments.start} (--start) only {arguments.start + 1} steps lead back, "
            f"so --steps {arguments.steps} is too many."
        )
    _check_output(output, arguments)
    check_writable(output)
    notes: list[str] = []
    images = [
        NamedImage(read_image(path, notes, arguments.resample_slices), f"{role} image '{printable(path)}'")
        for role, path in (("fixed", arguments.fixed), ("moving", arguments.moving))
    ]
    check_writable(output, min(images[0].image.GetDimension(), 3))
    from DiffuseMorphCore.registration import synthesize_image

    with ProgressBar() as progress:
        image = synthesize_image(
            *images,
            model=arguments.model,
            device=arguments.device,
            align=arguments.align,
            start=arguments.start,
            steps=arguments.steps,
            seed=arguments.seed,
            threads=arguments.threads,
            progress=progress,
        )
        if image_suffix(output) in FLAT:
            image = sitk.Cast(sitk.Round(sitk.Clamp(image * 255, lowerBound=0, upperBound=255)), sitk.sitkUInt8)
        shift = shift_in_format(image_suffix(output), image)
        write_image(image, output)
    say(f"Wrote {printable(output)}.")
    for note in notes:
        say(f"Note: {note}")
    if shift is not None and shift > LARGEST_SHIFT:
        say(
            f"Note: the format '{image_suffix(output)}' moves the image by {shift:.3g} voxels, because it does "
            "not hold its "
            "position exactly: .nrrd does."
        )


def _check_output(output: Path, arguments: argparse.Namespace) -> None:
    from DiffuseMorphCore.errors import DiffuseMorphError
    from DiffuseMorphCore.images import printable

    if not os.path.exists(output):
        return
    if any(os.path.exists(path) and os.path.samefile(path, output) for path in (arguments.fixed, arguments.moving)):
        raise DiffuseMorphError(f"The output file '{printable(output)}' is one of the two images: name another.")
    if not arguments.overwrite:
        raise DiffuseMorphError(f"The output file '{printable(output)}' exists: name another, or give --overwrite.")
