import numpy as np

SMALLEST_RING = 4
RING_PER_DISPLACEMENT = 1.25
MAXIMUM_POINTS = 9_000_000
MAXIMUM_BYTES = 2 * 1024**3


class FieldGrid:
    """The grid of deformations in RAS, with a ring of grid points around the image in which they fade to nothing.

    VTK repeats the border of a displacement grid outside it; with the ring nothing tears there. It is wider than the
    longest displacement at the border, so that the fading folds nothing either.

    origin, spacing, direction: in world RAS, direction with the axes as columns. ring: its width in grid points.
    """

    def __init__(self, grid, source, ring):
        """grid: the core's Grid that the deformations are known on. source: VolumeImage in whose space it lies."""
        self.ring = ring
        self._dimensions, self._toWorld = source.dimensions, source.toWorld
        placed = frame(source.toWorld @ _indexToPhysical(grid))
        axes, first = placed[:3, :3], placed[:3, 3]
        self.spacing = np.linalg.norm(axes, axis=0)
        self.direction = axes / self.spacing
        self.origin = first - axes @ np.array([ring, ring, ring if source.dimensions == 3 else 1])

    @staticmethod
    def shapeFor(shape, maximumPoints, count):
        """The grid's array shape, halved until `count` fields are small enough to be written quickly and kept."""
        shape = tuple(shape)
        while np.prod(shape) > maximumPoints or np.prod(shape) * 12 * count > MAXIMUM_BYTES:
            shape = tuple(max(2, (length + 1) // 2) for length in shape)
        return shape

    @staticmethod
    def ringWidth(vectors, grid):
        """Grid points over which the displacements at the border (mm, physical axes) fade without folding.

        Where the weights of all axes fall at once, the slopes add up: the sum of the components in grid steps must be
        less than the width.
        """
        toSteps = np.abs(np.linalg.inv(_indexToPhysical(grid)[:-1, :-1])).T.astype(np.float32)
        faces = (np.take(vectors, [0, -1], axis=axis) for axis in range(vectors.shape[-1]))
        longest = max(float((np.abs(face) @ toSteps).sum(axis=-1).max()) for face in faces)
        return max(SMALLEST_RING, int(np.ceil(RING_PER_DISPLACEMENT * longest)))

    def field(self, vectors):
        """Displacements (*spatial, dimensions) in mm along the physical axes, as float32 (k, j, i, 3) in world RAS."""
        ring, dimensions = self.ring, self._dimensions
        turned = vectors @ self._toWorld[:3, :dimensions].T.astype(np.float32)
        padded = np.pad(turned, [(ring, ring)] * dimensions + [(0, 0)], mode="edge")
        for axis in range(dimensions):
            weight = np.ones(padded.shape[axis], dtype=np.float32)
            weight[:ring] = np.arange(ring) / ring
            weight[-ring:] = weight[:ring][::-1]
            padded *= weight.reshape([-1 if a == axis else 1 for a in range(dimensions + 1)])
        if dimensions == 2:
            # A single slice gets a neighbour on either side, so that the grid has a thickness.
            padded = np.repeat(padded[None], 3, axis=0)
        return np.ascontiguousarray(padded, dtype=np.float32)


def frame(matrix):
    """4x4 matrix of the axes and origin in the columns of a 4 x (dimensions + 1) one; a plane gets its normal."""
    if matrix.shape[1] == 4:
        return matrix
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    normal *= np.linalg.norm(matrix[:3, 0]) / np.linalg.norm(normal)
    return np.column_stack([matrix[:, :2], [*normal, 0.0], matrix[:, 2]])


def _indexToPhysical(grid):
    matrix = np.eye(grid.ndim + 1)
    matrix[:-1, :-1] = np.reshape(grid.direction, (grid.ndim, grid.ndim)) * np.asarray(grid.spacing)
    matrix[:-1, -1] = grid.origin
    return matrix
