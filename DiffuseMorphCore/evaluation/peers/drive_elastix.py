"""elastix through itk-elastix: its default parameter maps "affine" and "bspline", one after the other.

Both maximise Mattes' mutual information over 2048 random points an iteration, 256 iterations on each of four
resolutions; the B-spline's finest control points are 10 mm apart, its bending energy is penalised. The initial
translation is elastix's own (the centres of the images), as its program has it unless told otherwise.
"""

from __future__ import annotations

from exchange import drive


def load(request):
    """The fixed and the moving image."""
    import itk

    if not hasattr(itk, "ElastixRegistrationMethod"):
        raise ImportError("The package itk is there, but not its module Elastix.")
    return request and [itk.imread(request[name], itk.F) for name in ("fixed", "moving")]


def register(images, request):
    """The parameters of both transforms; elastix makes the moved image as well."""
    import itk

    parameters = itk.ParameterObject.New()
    for stage in ("affine", "bspline"):
        chosen = parameters.GetDefaultParameterMap(stage)
        chosen["RandomSeed"] = [str(request["seed"] + 1)]
        if stage == "affine":
            chosen["AutomaticTransformInitialization"] = ["true"]
        parameters.AddParameterMap(chosen)
    _, transform = itk.elastix_registration_method(
        *images, parameter_object=parameters, number_of_threads=request["threads"], log_to_console=False
    )
    return transform


def write(transform, images, request):
    """The displacement of both transforms together."""
    import itk

    itk.imwrite(itk.transformix_deformation_field(images[1], transform), request["field"])


if __name__ == "__main__":
    drive(("itk-elastix", "itk-core"), load, register, write)
