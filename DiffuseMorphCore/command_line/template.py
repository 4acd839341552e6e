"""`diffusemorph template`: a table of people in; their unbiased mean, and everybody's way into it out."""

from __future__ import annotations

import argparse

from DiffuseMorphCore.command_line import arguments as grammar
from DiffuseMorphCore.command_line.console import ProgressBar
from DiffuseMorphCore.job_options import TemplateOptions
from DiffuseMorphCore.options import declared

DESCRIPTION = """\
Make the mean of a group of people: an image whose shape and intensities are the mean of theirs, without favour to any.

TABLE is a CSV file with a line for each person: a column 'image' and, if wanted, 'name' and 'labels' (drawn on the
image); files are named from the table's folder. Everybody is aligned and moved to the mean place and size first; then,
round after round, everybody is registered to the mean so far, the intensities are averaged, and the inverse of the mean
displacement moves the template to the middle. The order of the lines does not matter.

A job that was stopped goes on where it was when the same command is given again; what was made of other images or with
other settings is not used. One person at a time is in memory. The folder holds the complete result when report.json is
there:
  template.nii.gz     the template, in the intensities of the group's middle
  affine_mean.nii.gz  the mean after the alignment alone, on the same grid
  labels.nii.gz       with labels: what most people have at each voxel
  people/NAME/        transform.h5 (points of the template to points of the person's image), inverse_transform.h5 and
                      deformation.npz, a result that 'diffusemorph apply' takes
  changes.csv         by round: the mean displacement that was removed (mm), change of the intensities (share of their
                      range), distance of people from the template (mm), similarity, sharpness
  template.png        the affine mean and the template
  report.json         people, settings, seconds, versions"""

EXAMPLES = """\
examples:
  a table of T1 scans, one name a line below the word image:
    diffusemorph template people.csv --output group
  a look first, on coarse voxels:
    diffusemorph template people.csv --output look --rounds 2 --quality fast --spacing 2
  labels of one person onto another, through the template:
    diffusemorph apply group/people/b/inverse_transform.h5 group/people/a --to a_labels.nii.gz"""


def add_verb(verbs) -> None:
    """Add this verb to the command."""
    parser = verbs.add_parser(
        "template", help="make the unbiased mean of a group of people", description=DESCRIPTION, epilog=EXAMPLES
    )
    parser.add_argument("table", metavar="TABLE", help="a CSV file with the column image and, if wanted, name, labels")
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="the folder to write into; it must be new or empty"
    )
    grammar.add_overwrite(parser, "a result")
    grammar.add_options(parser.add_argument_group("method"), *declared(TemplateOptions), job=TemplateOptions)
    parser.set_defaults(
        run=run, stopped="Stopped: nothing was written; the same command goes on from what is done already."
    )


def run(arguments: argparse.Namespace) -> None:
    """Build the template, write the folder, and say in a few lines what came out."""
    from DiffuseMorphCore.command_line.console_text import say
    from DiffuseMorphCore.command_line.result_folder import (
        UNFINISHED,
        check_inputs_stay,
        complete_folder,
        remove_unfinished,
    )
    from DiffuseMorphCore.command_line.template_files import is_template, write_template
    from DiffuseMorphCore.images import printable
    from DiffuseMorphCore.registration.template import build_template
    from DiffuseMorphCore.registration.template.people import read_table
    from DiffuseMorphCore.threads import threads_used

    images, labels = read_table(arguments.table)
    inputs = {"table": arguments.table, **{f"image of {name}": path for name, path in images.items()}}
    inputs |= {f"labels of {name}": path for name, path in (labels or {}).items()}
    check_inputs_stay(arguments.output, inputs, is_template)
    options = {name: getattr(arguments, name) for name in declared(TemplateOptions) if name != "threads"}
    with (
        threads_used(arguments.threads) as threads,
        ProgressBar() as progress,
        complete_folder(arguments.output, arguments.overwrite, is_template) as folder,
    ):
        work = folder.parent.parent / UNFINISHED
        found = build_template(images, labels=labels, folder=work, progress=progress, threads=threads, **options)
        write_template(folder, found, images, arguments.output, progress)
    remove_unfinished(arguments.output)
    sharp = found.report["sharpness"]
    say(f"The template of {len(images)} people was made in {sum(found.report['seconds'].values()):.0f} s.")
    say(f"Sharpness: {sharp['affine_mean']:.4f} after the alignment, {sharp['template']:.4f} now (range per mm).")
    for note in found.report["notes"]:
        say(f"Note: {note}")
    say(f"Open {printable(arguments.output)}/template.png to see it.")
