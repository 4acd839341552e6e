"""`diffusemorph sequence`: frames in time, registered to one of them or to their mean."""

from __future__ import annotations

import argparse

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar
from DiffuseMorphCore.errors import DiffuseMorphError, OptionError
from DiffuseMorphCore.job_options import SequenceOptions
from DiffuseMorphCore.options import declared

DESCRIPTION = """\
Register the frames of a sequence in time (a beating heart, breathing, a film) to one of them. FRAMES is a 4-D file
(NIfTI, NRRD, MetaImage), a sequence of 3D Slicer (.seq.nrrd), a folder of images in the order of the numbers in their
names, a folder of DICOM phases, an enhanced DICOM file with images at several times (needs pydicom), or with
--slices-are-frames a film of 2-D images in one 3-D file. All frames lie on one grid; they are counted from 0. Each
begins where its neighbour ended, and the way of every point through time is smoothed. One frame at a time is in memory.
The folder holds the complete result when report.json is there:
  report.html         the page to look at: the frames before and after, moving, and the curves
  registered.nii.gz   the frames on the reference, where they should stand still (4-D)
  reference.nii.gz    the reference
  frames/000 ...      for each frame deformation.npz, a result that 'diffusemorph apply' takes (fixed is the reference,
                      moving the frame), and with --format transforms both ways
  mean_motion/        the same from the reference to where every point is on the mean of all times
  labels.nii.gz       with --labels: the labels on every frame (4-D)
  curves.csv, .png    frame by frame: similarity, displacement, mean Jacobian, and with --labels the volume of each
                      label in mm3 (of pictures the area in mm2)
  tracks.csv          with --points: where each point is at every time (mm, LPS)
  frames.gif          what report.html shows moving"""

EXAMPLES = """\
examples:
  a heartbeat, with a ventricle that was drawn on frame 0:
    diffusemorph sequence cine.nii.gz --output beat --periodic --labels ventricle.nii.gz
  ten phases of a CT of breathing, onto the end of exhalation, landmarks tracked:
    diffusemorph sequence phases --output breath --reference 5 --periodic --points lung.mrk.json --points-frame 0
  a head that moves in the scanner, nothing bends:
    diffusemorph sequence fmri.nii.gz --output still --align rigid --refine 0
  labels of the reference onto frame 7 alone:
    diffusemorph apply beat/frames/007 --inverse --to ventricle.nii.gz --output on_7.nii.gz"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser(
        "sequence", help="register frames in time to one of them", description=DESCRIPTION, epilog=EXAMPLES
    )
    parser.add_argument("frames", metavar="FRAMES", help="a 4-D file, a sequence of 3D Slicer, or a folder of frames")
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="the folder to write into; it must be new or empty"
    )
    grammar.add_overwrite(parser, "a result")
    carried = parser.add_argument_group("carried through time")
    for what, files in (("labels", "a label map"), ("points", "points (.mrk.json, .fcsv, .csv, a surface)")):
        carried.add_argument(f"--{what}", metavar="FILE", help=f"{files} drawn on one frame")
        carried.add_argument(
            f"--{what}-frame",
            type=grammar.frame_number,
            metavar="N",
            help="the frame that they were drawn on, from 0 (default: the reference; with the mean, 0)",
        )
    grammar.add_format(parser, default=None)
    grammar.add_options(parser.add_argument_group("method"), *declared(SequenceOptions), job=SequenceOptions)
    parser.set_defaults(run=run, stopped="Stopped: nothing was written.")


def run(arguments: argparse.Namespace) -> None:
    """Register the frames, write the folder, and say in a few lines what came out."""
    for what in ("labels", "points"):
        if getattr(arguments, f"{what}_frame") is not None and getattr(arguments, what) is None:
            raise OptionError(f"--{what}-frame says where {what} were drawn: give --{what}, too.")
    from DiffuseMorphCore.command_line.console_text import say
    from DiffuseMorphCore.command_line.result_folder import check_inputs_stay, complete_folder
    from DiffuseMorphCore.command_line.sequence_files import Drawn, is_sequence, write_sequence
    from DiffuseMorphCore.images import printable
    from DiffuseMorphCore.images.frames import open_frames
    from DiffuseMorphCore.registration.sequence import register_sequence
    from DiffuseMorphCore.threads import threads_used

    inputs = {name: getattr(arguments, name) for name in ("frames", "labels", "points")}
    check_inputs_stay(arguments.output, {name: file for name, file in inputs.items() if file}, is_sequence)
    options = {name: getattr(arguments, name) for name in declared(SequenceOptions) if name != "threads"}
    if isinstance(options["intensity_range"], list):
        options["intensity_range"] = tuple(options["intensity_range"])
    with (
        threads_used(arguments.threads) as threads,
        ProgressBar() as progress,
        complete_folder(arguments.output, arguments.overwrite, is_sequence) as folder,
    ):
        frames = open_frames(arguments.frames, arguments.slices_are_frames)
        for what in ("labels", "points"):
            number = getattr(arguments, f"{what}_frame")
            if number is not None and number >= len(frames):
                raise DiffuseMorphError(f"There is no frame {number} for the {what}: give 0 to {len(frames) - 1}.")
        drawn = Drawn.of(frames, arguments.labels, arguments.labels_frame, arguments.points, arguments.points_frame)
        found = register_sequence(frames, progress=progress, threads=threads, **options)
        report = write_sequence(folder, found, drawn, arguments.frames, arguments.format, progress)
    similarity, count = report["similarity"], report["frames"]
    seconds = sum(report["seconds"].values())
    say(f"{count} frames were registered in {seconds:.1f} s.")
    say(f"Similarity: {sum(similarity['before']) / count:.3f} before, {sum(similarity['registered']) / count:.3f} now.")
    for note in report["notes"]:
        say(f"Note: {note}")
    say(f"Open {printable(arguments.output)}/report.html in a browser to see it.")
