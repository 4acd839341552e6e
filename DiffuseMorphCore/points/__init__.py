"""Points in files: markups, tables, surfaces and streamlines, read in mm, LPS, and written again with other positions.

A reader keeps everything in the file but the positions, so that what is written is the same file, moved.
"""

from DiffuseMorphCore.points.files import POINT_SUFFIXES, is_point_file, point_suffix, read_points
from DiffuseMorphCore.points.movable import MovablePoints, landmarks

__all__ = ["POINT_SUFFIXES", "MovablePoints", "is_point_file", "landmarks", "point_suffix", "read_points"]
