"""`diffusemorph apply`: results of registrations, carried over to other images, labels and points."""

from __future__ import annotations

import argparse

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar
from DiffuseMorphCore.command_line.console_text import say
from DiffuseMorphCore.errors import OptionError

DESCRIPTION = """\
Apply results of 'diffusemorph register', or transform files, to other files of the same scans, without registering
anew: images, label images, images with frames in time (each frame), colours and vectors (each component, vectors are
not turned), and points: markups of 3D Slicer (.mrk.json, .fcsv), tables (.csv with x, y, z in mm), surfaces (.vtk,
.vtp, .vtu, .ply, .stl, .obj) and streamlines (.trk, .tck).

A result leads from points of its fixed image to points of its moving one, which is what images need. Images are
deformed from the moving to the fixed image, onto the grid of the fixed one; points on the moving image are carried to
the fixed one by the inverse, without being told to. With --inverse all goes from the fixed to the moving image.

Several are chained in the order in which points pass through them. With the results of A (fixed) and B (moving), and of
B (fixed) and C (moving):

    diffusemorph apply A_B B_C --to c.nii.gz

    grid of A  ---A_B--->  B  ---B_C--->  image C        the image C arrives on the grid of A
    points on A  <-------  B  <---------  points on C    so do points on C, by the inverses

In a chain the file inverse_transform.h5 of a folder leads from its moving to its fixed image: with an atlas as fixed
image of both, 'apply one/inverse_transform.h5 two --to two.nii.gz' brings the second scan onto the first.

Each file keeps its format (images what a format cannot hold exactly become .nrrd) and is written under its name with
_moved. Either all files are written or none."""

EXAMPLES = """\
examples:
  labels, a second contrast and landmarks along with a registration:
    diffusemorph apply result --to organs.nii.gz flair.nii.gz landmarks.mrk.json --output carried
  what was drawn on the fixed image, onto the moving one:
    diffusemorph apply result --inverse --to atlas_labels.nii.gz --output labels.nii.gz
  half of the way, by B-splines:
    diffusemorph apply result --to t2.nii.gz --eta 0.5 --interpolation bspline
  two results as one transform, in the files of ANTs:
    diffusemorph apply a_b b_c --format ants --output a_c
  a transform file of ANTs, onto a grid that it does not know:
    diffusemorph apply 0GenericAffine.mat --to moving.nii.gz --like fixed.nii.gz"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser(
        "apply", help="carry a registration over to other images and points", description=DESCRIPTION, epilog=EXAMPLES
    )
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULT",
        help="the folder of a result, or a transform file (.h5, .tfm, .mat, a warp as image); several in the order in "
        "which points pass",
    )
    parser.add_argument(
        "--to", nargs="+", default=[], metavar="FILE", help="what to carry along: images, labels, points"
    )
    grammar.add_format(parser, default=None)
    parser.add_argument(
        "--like", metavar="FILE", help="an image on whose grid images arrive, in place of the fixed image's"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="the file to write, where there is one, or the folder to write into (default: the current one)",
    )
    grammar.add_overwrite(parser, "a file")
    parser.add_argument("--inverse", action="store_true", help="from the fixed to the moving image")
    parser.add_argument(
        "--eta",
        type=grammar.eta,
        metavar="E",
        help="how far to deform, 0 (aligned only) to 1 (registered); by default as the result was written",
    )
    parser.add_argument(
        "--interpolation",
        choices=("auto", "linear", "nearest", "bspline", "label"),
        default="auto",
        help="label: each voxel gets the label with the largest share when every label is interpolated linearly; "
        "auto: label for what holds labels, by type and values, else linear (default auto)",
    )
    parser.add_argument(
        "--fill",
        type=lambda text: grammar.number(text, float, "a number"),
        metavar="VALUE",
        help="what stands where an image is not; by default its background, and 0 for labels",
    )
    parser.add_argument(
        "--points-in",
        choices=("LPS", "RAS"),
        default="LPS",
        help="the space of coordinates in files of points that do not say it (default LPS)",
    )
    grammar.add_resample_slices(parser)
    grammar.add_options(parser, "threads")
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Read the chain, carry each file, and name what was written."""
    if not arguments.to and not arguments.format:
        raise OptionError("There is nothing to do: say --to FILE, what to carry along, or --format.")
    from DiffuseMorphCore.command_line.carried_files import Carrier, planned
    from DiffuseMorphCore.images import printable
    from DiffuseMorphCore.registration.chain import Chain
    from DiffuseMorphCore.threads import threads_used

    with threads_used(arguments.threads), ProgressBar() as progress:
        jobs, output = planned(arguments.to, arguments.output, arguments.overwrite, arguments.format)
        progress("read", 0.0)
        carrier = Carrier(Chain.of(arguments.results, arguments.eta), arguments)
        written, notes = carrier.write_all(jobs, output, progress)
    for path, what in written:
        say(f"Wrote {printable(path)} ({what}).")
    for note in notes:
        say(f"Note: {note}")
