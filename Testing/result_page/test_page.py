"""The page of a result in a real browser: what it shows is what was registered, and it keeps to itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.registration import register
from DiffuseMorphCore.result_page import page, write_page
from DiffuseMorphCore.view_planes import scaled, window

sys.path.insert(0, str(Path(__file__).parent))
from browser import browser, open_page, requests, until  # noqa: E402

PICTURE = """const canvas = document.querySelectorAll("canvas.picture")[arguments[0]];
return [canvas.width, canvas.height, ...canvas.getContext("2d").getImageData(0, 0, canvas.width,
  canvas.height).data];"""
SET = """const slider = arguments[0]; slider.value = arguments[1]; slider.dispatchEvent(new Event("input"));"""


@pytest.fixture(scope="module")
def result(pair_3d):
    return register(*pair_3d, model=None, device="cpu", refine=20)


@pytest.fixture(scope="module")
def files(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    doubt = sitk.Image(result.fixed.GetSize(), sitk.sitkFloat32) + 1.5
    doubt.CopyInformation(result.fixed)
    result.write_page(folder / "report.html", uncertainty=doubt)
    return folder


@pytest.fixture(scope="module")
def driver(files):
    with browser() as opened:
        open_page(opened, files / "report.html")
        yield opened


def picture(driver, plane: int) -> np.ndarray:
    width, height, *values = driver.execute_script(PICTURE, plane)
    return np.array(values, float).reshape(height, width, 4)[..., :3]


def choose(driver, view: str) -> None:
    driver.execute_script("document.querySelector(`[data-view=${arguments[0]}]`).click()", view)


def slide(driver, selector: str, value: float, number: int = 0) -> None:
    driver.execute_script(SET, driver.find_elements("css selector", selector)[number], value)


def shown(image: sitk.Image, like: sitk.Image, axis: int, index: int) -> np.ndarray:
    """A plane of an image as the page draws it, 0 to 255."""
    part = np.take(scaled(sitk.GetArrayFromImage(image), window(like)) * 255, index, axis)
    return part[::-1] if axis else part


def place(driver) -> list[int]:
    return [int(each.get_property("value")) for each in driver.find_elements("css selector", ".plane input")]


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_the_slider_of_eta_shows_the_registration_at_that_eta(driver, result, eta):
    choose(driver, "moved")
    slide(driver, "#eta", eta)
    for plane, index in enumerate(place(driver)):
        exact = shown(result.warp(eta=eta), result.moving, plane, index)
        assert np.abs(picture(driver, plane)[..., 0] - exact).mean() < 3
    other = shown(result.warp(eta=1 - round(eta)), result.moving, 0, place(driver)[0])
    assert np.abs(picture(driver, 0)[..., 0] - other).mean() > (4 if eta != 0.4 else 0)


def test_the_slider_of_a_slice_moves_that_plane_and_no_other(driver, result):
    choose(driver, "fixed")
    middle = place(driver)
    before = [picture(driver, plane) for plane in range(3)]
    slide(driver, ".plane input", middle[1] + 4, 1)
    after = [picture(driver, plane) for plane in range(3)]
    assert np.array_equal(before[0], after[0]) and np.array_equal(before[2], after[2])
    assert np.abs(after[1][..., 0] - shown(result.fixed, result.fixed, 1, middle[1] + 4)).mean() < 3
    slide(driver, ".plane input", middle[1], 1)


def test_views_compare_the_images(driver, result):
    slide(driver, "#eta", 1)
    pictures = {}
    for view in ("moved", "fixed", "checkerboard", "difference", "jacobian", "uncertainty"):
        choose(driver, view)
        pictures[view] = picture(driver, 0)
    moved, fixed, tiles = pictures["moved"], pictures["fixed"], pictures["checkerboard"]
    of_fixed = (tiles == fixed).all(axis=-1)
    assert ((tiles == moved).all(axis=-1) | of_fixed).all() and 0.4 < of_fixed.mean()
    same = np.abs(moved - fixed)[..., 0] < 1
    assert pictures["difference"][same].max() < 10
    assert np.ptp(pictures["uncertainty"] - 0.4 * fixed, axis=(0, 1)).max() <= 2  # one colour over the fixed image
    assert driver.find_element("css selector", "#bar span:last-of-type").text == "1.5 mm"


def test_the_colours_of_the_jacobian_are_those_of_the_registration(driver, result):
    slide(driver, "#eta", 1)
    choose(driver, "fixed")
    fixed, index = picture(driver, 0), place(driver)[0]
    choose(driver, "jacobian")
    colour = (picture(driver, 0) - 0.4 * fixed) / 0.6
    exact = np.log2(np.take(sitk.GetArrayFromImage(result.jacobian()), index, 0))
    inside = np.pad(np.ones(np.subtract(exact.shape, 2), bool), 1)  # at the border the page sees one side only
    stretched, compressed = inside & (exact < -0.15), inside & (exact > 0.15)
    assert stretched.any() and compressed.any()
    redness = colour[..., 0] - colour[..., 2]
    assert (redness[stretched] < 0).mean() > 0.95 and (redness[compressed] > 0).mean() > 0.95
    slide(driver, "#eta", 0)
    assert np.abs(picture(driver, 0) - 0.4 * fixed - 0.6 * 255).max() < 3  # white: nothing is deformed


def test_lines_are_drawn_over_the_picture(driver):
    lines = "return document.querySelector('canvas.lines').getContext('2d').getImageData(0, 0, 2000, 2000).data"
    drawn = f"{lines}.filter((_, index) => index % 4 === 3).reduce((sum, value) => sum + (value > 0), 0)"
    choose(driver, "moved")
    assert driver.execute_script(drawn) == 0
    choose(driver, "edges")
    assert driver.execute_script(drawn) > 100
    choose(driver, "grid")
    slide(driver, "#eta", 0)
    straight = driver.execute_script(f"return {lines.removeprefix('return ')}.join()")
    slide(driver, "#eta", 1)
    assert driver.execute_script(f"return {lines.removeprefix('return ')}.join()") != straight


def test_blink_shows_both_in_turn(driver):
    choose(driver, "blink")
    for name in ("fixed", "moved", "fixed"):
        until(driver, f"return document.getElementById('caption').textContent.startsWith('{name}')")
    choose(driver, "moved")


def test_the_keyboard_does_what_the_page_says(driver):
    from selenium.webdriver.common.keys import Keys

    body = driver.find_element("css selector", "body")
    slide(driver, "#eta", 0.5)
    body.send_keys(Keys.ARROW_RIGHT)
    assert driver.find_element("id", "eta-value").text == "eta 0.55"
    body.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert driver.find_element("id", "eta-value").text == "eta 0.45"
    before = place(driver)
    body.send_keys(Keys.ARROW_UP)
    assert sum(place(driver)) == sum(before) + 1
    body.send_keys(Keys.ARROW_DOWN)
    assert place(driver) == before
    body.send_keys("5")
    assert driver.find_element("css selector", "[aria-checked=true]").get_attribute("data-view") == "difference"
    views = driver.find_elements("css selector", "#views button")
    assert driver.find_element("id", "last-view").text == str(len(views)) in views[-1].text
    body.send_keys(str(len(views)))
    assert views[-1].get_attribute("aria-checked") == "true"
    body.send_keys("1", Keys.SPACE)
    until(driver, "return Math.abs(document.getElementById('eta').value - 0.45) > 0.02")
    body.send_keys(Keys.SPACE)
    stopped = driver.find_element("id", "eta-value").text
    assert driver.execute_async_script(
        "setTimeout(() => arguments[0](document.getElementById('eta-value').value), 200)"
    ) == stopped  # fmt: skip


def test_a_click_takes_the_other_planes_there(driver):
    from selenium.webdriver import ActionChains

    canvas = driver.find_elements("css selector", "canvas.lines")[0]
    width, height = driver.execute_script("return [arguments[0].width, arguments[0].height]", canvas)
    before = place(driver)
    ActionChains(driver).move_to_element_with_offset(canvas, 20, -15).click().perform()
    after = place(driver)
    assert after[0] == before[0] and after[1] != before[1] and after[2] != before[2] and width and height


def test_nothing_is_complained_of_and_nothing_asked_of_the_network(files):
    with browser() as opened:
        open_page(opened, files / "report.html")
        for view in (
            "fixed",
            "blink",
            "checkerboard",
            "difference",
            "edges",
            "grid",
            "jacobian",
            "uncertainty",
            "moved",
        ):
            choose(opened, view)
            slide(opened, "#eta", 0.3)
        assert opened.get_log("browser") == []
        asked = requests(opened)
    assert asked and all(url.startswith(("file:", "data:", "blob:")) for url in asked)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, True)])
def test_it_fits_the_screen_and_the_scheme(files, width, dark):
    with browser(width, 844, dark) as opened:
        open_page(opened, files / "report.html")
        assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        colour = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
        light = np.mean([int(value) for value in re.findall(r"\d+", colour)[:3]])
        assert light < 60 if dark else light > 200


def test_without_javascript_there_are_still_pictures_and_all_texts(files):
    with browser(javascript=False) as opened:
        opened.get((files / "report.html").as_uri())
        stills = opened.find_elements("css selector", ".stills img")
        assert len(stills) == 15 and all(int(still.get_property("naturalWidth")) > 10 for still in stills)
        assert not opened.find_element("id", "viewer").is_displayed()
        assert "Similarity" in opened.find_element("css selector", ".findings").text


def test_a_picture_has_one_plane(pair_2d, tmp_path):
    result = register(*pair_2d, model=None, device="cpu", align="rigid", refine=10)
    result.write_page(tmp_path / "report.html", eta=0.5)
    with browser() as opened:
        open_page(opened, tmp_path / "report.html")
        exact = scaled(sitk.GetArrayFromImage(result.warp(eta=0.5)), window(result.moving)) * 255
        assert np.abs(picture(opened, 0)[..., 0] - exact).mean() < 3
        assert not opened.find_element("css selector", ".plane input").is_displayed()


@pytest.mark.parametrize("size", [(70, 260, 300), (9, 300, 300)])
def test_large_images_make_no_large_page(size):
    noise = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 255, size).astype(np.uint8))
    noise.SetSpacing((0.8, 0.8, 3.0))
    result = register(noise, noise, model=None, device="cpu", align="none", refine=0)
    assert len(page(result).encode()) < 8_000_000


def test_an_oblique_grid_and_thick_slices_are_shown_where_they_lie(pair_3d):
    """Axes turned and flipped, unequal voxels: the page's own deformation is still the result's."""
    fixed, moving = (sitk.PermuteAxes(image, (2, 0, 1)) for image in pair_3d)
    fixed = sitk.Shrink(fixed[::-1], (1, 2, 1))
    result = register(fixed, moving, model=None, device="cpu", align="affine", refine=10, alignment_follows_eta=True)
    (share,) = re.findall(r"differ from the result by ([\d.]+) %", page(result))
    assert float(share) < 6


def test_names_of_files_cannot_put_anything_into_the_page(result):
    evil = '<img src=x onerror="alert(1)">{{program}}'
    text = page(result, result.report | {"files": {"fixed": evil, "moving": "</script>"}, "notes": [evil]})
    assert "<img src=x" not in text and "&lt;img src=x" in text and "</script>.nii" not in text
    assert text.count("{{program}}") == 4 and text.count("</script>") == 2


def test_a_page_that_cannot_be_written_is_told_in_a_sentence(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiffuseMorphError, match=r"The page '.*report.html' cannot be written"):
        write_page(result, tmp_path / "file" / "report.html")
    with pytest.raises(DiffuseMorphError, match=r"The page '.*report.html' cannot be written: no such file"):
        write_page(result, tmp_path / "mistyped" / "report.html")
    assert not (tmp_path / "mistyped").exists()
    with pytest.raises(DiffuseMorphError, match="eta"):
        result.write_page(tmp_path / "report.html", eta=2)


def test_the_program_is_small(repository):
    program = repository / "DiffuseMorphCore" / "result_page" / "page.js"
    assert len(program.read_text(encoding="utf-8").splitlines()) < 300
