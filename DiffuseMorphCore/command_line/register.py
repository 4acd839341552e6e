"""`diffusemorph register`: two images in; the deformed image, the transforms, a report and a picture out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar
from DiffuseMorphCore.errors import OptionError
from DiffuseMorphCore.options import declared
from DiffuseMorphCore.progress import Progress, advance

DESCRIPTION = """\
Deform MOVING onto FIXED and write the result into a folder. Of photographs and histology in colour the grey is
compared, and every channel is deformed.

The folder holds the complete result when report.json, the last of its files, is there:
  moved.nii.gz            MOVING, deformed onto the grid of FIXED (2-D images keep their format, for example moved.png;
                          what a format cannot hold exactly, numbers or position, becomes .nrrd)
  moved_labels.nii.gz     the labels, deformed the same way, where --moving-labels is given
  transform.h5            points of FIXED to points of MOVING, for SimpleITK.Resample(moving, fixed, transform)
  inverse_transform.h5    points of MOVING to points of FIXED
  deformation.npz         the deformation at every eta, for 'diffusemorph apply' and load_result in Python
                          (with --format ants 0GenericAffine.mat, 1Warp.nii.gz and 1InverseWarp.nii.gz in place of both,
                          with --format fsl warp.nii.gz and inverse_warp.nii.gz, with --format freesurfer alignment.lta,
                          warp.mgz and inverse_warp.mgz)
  report.json             similarity before and after, folding, displacements, times, settings, versions
  report.html             a page to look at the result with, slices, eta, difference, grid; opened by a double click
  preview.png             fixed, moving, moved, differences and the deformed grid
  trajectory/, .gif       with --frames: every step from untouched to registered
  jacobian.nii.gz         with --maps: local change of volume, 1 where there is none
  uncertainty.nii.gz      with --maps: millimetres within which the images do not determine the deformation"""

EXAMPLES = """\
examples:
  two brain scans:
    diffusemorph register patient1.nii.gz patient2.nii.gz --output result
  a CT of the lung in the folder of its DICOM files, aligned by its centre and rotation only:
    diffusemorph register inhale/ exhale/ --output result --align rigid
  an MR onto a CT (different contrasts), and the organs outlined on the MR along with it:
    diffusemorph register ct.nii.gz mr.nii.gz --output result --modality different --moving-labels organs.nii.gz
  two photographs, half of the way, with an animation of 20 steps:
    diffusemorph register a.png b.png --output result --eta 0.5 --frames 20
  guided by points, with T2 beside T1, and a tumour of the second scan left alone:
    diffusemorph register t1_a.nii.gz t1_b.nii.gz --output result --also t2_a.nii.gz t2_b.nii.gz \\
        --fixed-landmarks a.mrk.json --moving-landmarks b.mrk.json --moving-ignore tumour.nii.gz
  without a model, by the optimisation alone:
    diffusemorph register fixed.nrrd moving.nrrd --output result --model none"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    add_arguments(
        verbs.add_parser("register", help="deform one image onto another", description=DESCRIPTION, epilog=EXAMPLES)
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that may stand behind the verb."""
    grammar.add_pair(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="the folder to write into; it must be new or empty"
    )
    grammar.add_overwrite(parser, "a result")
    grammar.add_resample_slices(parser)
    grammar.add_format(parser, default="itk")
    method = parser.add_argument_group("method")
    grammar.add_options(method, *declared())
    method.add_argument(
        "--initial-transform",
        metavar="FILE",
        help="a known transform (fixed points to moving points: .h5, .tfm, .mat) to start from",
    )
    regions = parser.add_argument_group("masks and labels")
    for role in ("fixed", "moving"):
        regions.add_argument(
            f"--{role}-mask",
            metavar="FILE",
            help=f"the region of {role.upper()} to compare (0 outside), on any grid that covers it",
        )
    regions.add_argument("--moving-labels", metavar="FILE", help="labels drawn on MOVING, to be deformed with it")
    regions.add_argument(
        "--fixed-labels",
        metavar="FILE",
        help="the same labels drawn on FIXED, to measure the overlap (Dice) before and after",
    )
    guides = parser.add_argument_group("guides")
    for role in ("fixed", "moving"):
        guides.add_argument(
            f"--{role}-landmarks",
            metavar="FILE",
            help=f"points on {role.upper()} (.mrk.json, .fcsv, .csv in LPS), paired with those of the other by name, "
            "else by order: the alignment starts from them, they pull, and the report has their distances",
        )
    guides.add_argument(
        "--guide-labels",
        action="store_true",
        help="pull the labels of --moving-labels over the same ones of --fixed-labels",
    )
    for role in ("fixed", "moving"):
        guides.add_argument(
            f"--{role}-ignore",
            metavar="FILE",
            help=f"a lesion or a resection in {role.upper()}: it does not pull, and keeps its volume",
        )
    guides.add_argument(
        "--also",
        nargs=2,
        action="append",
        default=[],
        metavar=("FIXED2", "MOVING2"),
        help="a further contrast of both, each already aligned with the first of its side; may be given again",
    )
    steps = parser.add_argument_group("the way from untouched to registered")
    steps.add_argument(
        "--eta",
        type=grammar.eta,
        default=1.0,
        metavar="E",
        help="how far to deform in the result, 0 (aligned only) to 1 (registered, default)",
    )
    steps.add_argument(
        "--frames",
        type=grammar.frames,
        metavar="N",
        help="write N images from eta 0 to eta 1 too, and an animation of them",
    )
    parser.add_argument(
        "--maps",
        action="store_true",
        help="write maps of the local change of volume and of the uncertainty, and its figures, too",
    )
    parser.add_argument(
        "--no-page",
        dest="page",
        action="store_false",
        help="leave out report.html, the page to look at the result with",
    )
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Register, write the folder, and say in a few lines what came out."""
    check(arguments)
    from DiffuseMorphCore.command_line.summary import summarize

    with ProgressBar() as progress:
        report = carry_out(arguments, progress)
    summarize(arguments.output, report, arguments.page)


def check(arguments: argparse.Namespace) -> None:
    """Raises OptionError where arguments contradict one another."""
    if arguments.fixed_labels and not arguments.moving_labels:
        raise OptionError("The option --fixed-labels needs --moving-labels: overlap takes both.")
    if arguments.guide_labels and not (arguments.fixed_labels and arguments.moving_labels):
        raise OptionError("The option --guide-labels needs --fixed-labels and --moving-labels.")
    if bool(arguments.fixed_landmarks) != bool(arguments.moving_landmarks):
        raise OptionError("Landmarks guide in pairs: give both --fixed-landmarks and --moving-landmarks.")


def carry_out(
    arguments: argparse.Namespace, progress: Progress | None, also_reported: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Register and write the folder, saying nothing; the report, with what is ``also_reported`` in it."""
    from DiffuseMorphCore.command_line.request import RegisterRequest, input_files
    from DiffuseMorphCore.command_line.result_files import is_result, write_result
    from DiffuseMorphCore.command_line.result_folder import check_inputs_stay, complete_folder
    from DiffuseMorphCore.threads import threads_used

    check_inputs_stay(arguments.output, input_files(arguments), is_result)
    with threads_used(arguments.threads), complete_folder(arguments.output, arguments.overwrite, is_result) as folder:
        advance(progress, "read", 0.0)
        request = RegisterRequest.of(arguments)
        result = request.register(progress)
        return write_result(folder, result, request, progress, also_reported)
