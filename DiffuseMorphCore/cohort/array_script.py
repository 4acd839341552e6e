"""A script of a SLURM job array for those without Dask: a task a row, and a last job that writes the summary."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def array_script(arguments: Sequence[str], rows: int, memory: int, options: str = "") -> str:
    """The text of the script.

    Parameters
    ----------
    arguments : of `diffusemorph cohort`, those that every task gets. rows : of the table. memory : bytes a task needs.
    options : further ones of sbatch.
    """
    command = shlex.join(["diffusemorph", "cohort", *arguments])
    extra = "".join(f"#SBATCH {option}\n" for option in shlex.split(options))
    return f"""\
#!/bin/bash
#SBATCH --job-name=diffusemorph
#SBATCH --array=1-{rows}%100
#SBATCH --cpus-per-task=2
#SBATCH --mem={max(1, round(memory / 2**30 + 0.5))}G
#SBATCH --output=diffusemorph-%A_%a.log
{extra}# Submit with: sbatch THIS_FILE; then, for summary.csv and index.html:
#   sbatch --dependency=afterany:JOB --wrap {shlex.quote(command + " --summary-only")}
# Where the limit of array tasks (scontrol show config | grep MaxArraySize) is below {rows}, split the table.
set -eu
export OMP_NUM_THREADS=${{SLURM_CPUS_PER_TASK:-2}}
{command} --row "$SLURM_ARRAY_TASK_ID"
"""
