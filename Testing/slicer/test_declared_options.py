"""The panel and the module's Python calls know the options of a registration from where they are declared."""

import pytest


def test_the_panel_offers_what_is_declared_and_starts_with_its_defaults(panel):
    from DiffuseMorphSlicerLib.ParameterNode import Alignment, Modality, Quality, TrajectoryForm

    from DiffuseMorphCore.options import declared, default_of

    parameters = panel.logic.getParameterNode()
    for name, kind, chosen in (
        ("align", Alignment, parameters.alignment),
        ("modality", Modality, parameters.modality),
        ("quality", Quality, parameters.quality),
        ("trajectory", TrajectoryForm, parameters.trajectoryForm),
    ):
        assert {each.value for each in kind} == set(declared()[name].choices)
        assert chosen.value == default_of(name) and all(each.label() for each in kind)
    assert (parameters.model, parameters.device, parameters.seed) == tuple(map(default_of, ("model", "device", "seed")))


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"align": "bspline"}, "OptionError", "option align is 'bspline'"),
        ({"alignement": 1}, "TypeError", "alignement"),
    ],
)
def test_options_that_do_not_exist_are_refused_at_once(panel, options, error, text):
    from ball_volumes import add_ball

    with pytest.raises(Exception, match=text) as caught:
        panel.logic.startRegistration(add_ball("Fixed"), add_ball("Moving"), **options)
    assert type(caught.value).__name__ == error
