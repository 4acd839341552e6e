import numpy as np

SMALLEST_RING = 4
RING_PER_DISPLACEMENT = 1.25
MAXIMUM_POINTS = 9_000_000
MAXIMUM_BYTES = 2 * 1024**3


class FieldTrajectory:
    """The map from the points of one image to those of another at some etas: a deformation, then a linear alignment.

    The two are kept apart because VTK inverts a grid of displacements by iteration, which fails when a rotation is in
    it, while the inverse of the alignment is exact. VTK repeats the border of a displacement grid outside it; therefore
    a ring of grid points around the image lets the deformation fade to nothing, and nothing tears at the border. The
    ring is wider than the longest displacement at the border, so that the fading folds nothing either.

    etas: increasing values, 0 to 1. keyframes: the deformation in world RAS, float32 arrays (k, j, i, 3) in mm, one for
    each eta. origin, spacing, direction: the grid in world RAS, direction with the axes as columns.
    ring: its width in grid points. alignment: 4x4 matrix from world RAS to the target's coordinates.
    """

    def __init__(self, path, source, movingPoint, maximumPoints=MAXIMUM_POINTS):
        """path: DiffuseMorphCore EtaPath on a grid that covers the source image. source: its VolumeImage.

        movingPoint: 4 x (dimensions + 1) matrix that takes a deformed source point to the target's coordinates in RAS.
        The grid is made coarser where its keyframes would exceed maximumPoints or MAXIMUM_BYTES.
        """
        self.etas = [float(eta) for eta in path.etas]
        path = path.resized(self._shapeFor(path.grid.shape, maximumPoints, len(self.etas)))
        grid = path.grid
        indexToPhysical = np.eye(source.dimensions + 1)
        direction = np.reshape(grid.direction, (source.dimensions, source.dimensions))
        indexToPhysical[:-1, :-1] = direction * np.asarray(grid.spacing)
        indexToPhysical[:-1, -1] = grid.origin
        fields = [path.at(eta).vectors().astype(np.float32) for eta in self.etas]
        self.ring = max(_ringWidth(field, indexToPhysical[:-1, :-1]) for field in fields)
        self._setGeometry(source, indexToPhysical)
        self.alignment = _frame(movingPoint) @ np.linalg.inv(_frame(source.toWorld))
        self.keyframes = [self._keyframe(field, source.toWorld) for field in fields]

    @staticmethod
    def ofRegistration(registration, fixed, moving, movingFromWorld=None, fineEnd=False, **limits):
        """Fixed to moving points, alignment included, for what DiffuseMorphCore.register returned.

        movingFromWorld: 4x4 matrix from the world to the coordinates that nodes have under the transform; identity if
        None. It is how the moving volume's own linear parent stays in the result. fineEnd: only what is at eta 1, as
        fine as the registration knows it there; a slider needs coarser fields to be quick.
        """
        movingPoint = moving.toWorld @ affineMatrix(registration.alignment, fixed.dimensions)
        if movingFromWorld is not None:
            movingPoint = movingFromWorld @ movingPoint
        path = registration.path
        if fineEnd:
            path = type(path)((1.0,), path.finest.values, path.finest.grid)
        return FieldTrajectory(path, fixed, movingPoint, **limits)

    @staticmethod
    def ofInverse(registration, eta, fixed, moving):
        """Moving to fixed points at one eta, on a grid around the moving image."""
        import SimpleITK as sitk

        from DiffuseMorphCore.displacement import Displacement
        from DiffuseMorphCore.grid import Grid
        from DiffuseMorphCore.samplers import EtaPath

        grid = Grid.of(moving.image)
        grid = grid.resampled(FieldTrajectory._shapeFor(grid.shape, MAXIMUM_POINTS, 1))
        alignment = affineMatrix(registration.alignment, fixed.dimensions)
        # The deformation is what the inverse does beyond the inverse alignment, seen in the moving image's space.
        beyond = sitk.CompositeTransform([registration.alignment, registration.inverse_transform(eta)])
        field = sitk.TransformToDisplacementField(
            beyond, sitk.sitkVectorFloat64, grid.size, grid.origin, grid.spacing, grid.direction
        )
        deformation = Displacement.from_vectors(sitk.GetArrayFromImage(field), grid)
        fixedPoint = fixed.toWorld @ np.linalg.inv(alignment)
        return FieldTrajectory(EtaPath((eta,), deformation.values, grid), moving, fixedPoint)

    @staticmethod
    def _shapeFor(shape, maximumPoints, count):
        """The grid's array shape, halved until the keyframes are small enough to blend quickly and to keep."""
        shape = tuple(shape)
        while np.prod(shape) > maximumPoints or np.prod(shape) * 12 * count > MAXIMUM_BYTES:
            shape = tuple(max(2, (length + 1) // 2) for length in shape)
        return shape

    def _setGeometry(self, source, indexToPhysical):
        placed = _frame(source.toWorld @ indexToPhysical)
        axes, first = placed[:3, :3], placed[:3, 3]
        self.spacing = np.linalg.norm(axes, axis=0)
        self.direction = axes / self.spacing
        self.origin = first - axes @ np.array([self.ring, self.ring, self.ring if source.dimensions == 3 else 1])

    def whole(self, deformation):
        """Deformation and alignment as one displacement (k, j, i, 3), for formats that hold a single grid.

        deformation: a keyframe, or a blend of two.
        """
        difference = self.alignment - np.eye(4)
        displacement = difference[:3, :3] @ self.origin + difference[:3, 3]
        for axis, length in enumerate(reversed(deformation.shape[:3])):
            place = [None, None, None, slice(None)]
            place[2 - axis] = slice(None)
            step = np.arange(length)[:, None] * (difference[:3, :3] @ self.direction[:, axis] * self.spacing[axis])
            displacement = displacement + step[tuple(place)]
        return (displacement + deformation @ self.alignment[:3, :3].T).astype(np.float32)

    def _keyframe(self, vectors, toWorld):
        ring = self.ring
        dimensions = vectors.shape[-1]
        turned = vectors @ toWorld[:3, :dimensions].T.astype(np.float32)
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


def affineMatrix(transform, dimensions):
    """(dimensions + 1) square matrix of a linear SimpleITK transform."""
    from DiffuseMorphCore.linear import linear_map

    matrix = np.eye(dimensions + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = linear_map(transform)
    return matrix


def _frame(matrix):
    """4x4 matrix of the axes and origin in the columns of a 4 x (dimensions + 1) one; a plane gets its normal."""
    if matrix.shape[1] == 4:
        return matrix
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    normal *= np.linalg.norm(matrix[:3, 0]) / np.linalg.norm(normal)
    return np.column_stack([matrix[:, :2], [*normal, 0.0], matrix[:, 2]])


def _ringWidth(vectors, axes):
    """Grid points over which the displacements at the border (mm) fade without folding. axes: grid steps as columns.

    Where the weights of all axes fall at once, the slopes add up: the sum of the components in grid steps must be less
    than the width.
    """
    toSteps = np.abs(np.linalg.inv(axes)).T.astype(np.float32)
    faces = (np.take(vectors, [0, -1], axis=axis) for axis in range(vectors.shape[-1]))
    longest = max(float((np.abs(face) @ toSteps).sum(axis=-1).max()) for face in faces)
    return max(SMALLEST_RING, int(np.ceil(RING_PER_DISPLACEMENT * longest)))
