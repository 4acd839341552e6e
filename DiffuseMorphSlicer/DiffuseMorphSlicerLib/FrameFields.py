from .FieldGrid import MAXIMUM_POINTS, FieldGrid


class FrameFields(FieldGrid):
    """The deformations of all frames of a registered sequence, from points of the reference to points of the frame.

    A frame that was aligned before it was deformed has both in one field.

    fields: float32 arrays (k, j, i, 3) in mm, RAS, all on one grid, which is all that a .seq.nrrd can hold.
    """

    def __init__(self, registration, source, step=lambda fraction: None):
        """registration: what DiffuseMorphCore.register_sequence gave. source: VolumeImage of any frame.

        step: called with the fraction that is done.
        """
        count = len(registration)
        shape = self.shapeFor(registration.grid.shape, MAXIMUM_POINTS, count)

        def vectors(number):
            from DiffuseMorphCore.samplers import EtaPath

            end = registration.whole(number)
            return (end if shape == tuple(end.grid.shape) else EtaPath.straight(end).resized(shape).end).vectors()

        grid = registration.grid.resampled(shape)
        ring = 0
        for number in range(count):
            ring = max(ring, self.ringWidth(vectors(number), grid))
            step(number / (2 * count))
        super().__init__(grid, source, ring)
        self.fields = []
        for number in range(count):
            self.fields.append(self.field(vectors(number)))
            step((count + number + 1) / (2 * count))
