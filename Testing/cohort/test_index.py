"""The page of a cohort in a real browser: sorted, filtered, marked, and it keeps to itself."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from DiffuseMorphCore.cohort.index import write_index
from DiffuseMorphCore.cohort.pair import register_pair
from DiffuseMorphCore.cohort.summary import ranked, row_of
from DiffuseMorphCore.cohort.table import read_table

sys.path.insert(0, str(Path(__file__).parents[1] / "result_page"))
from browser import browser, open_page, requests  # noqa: E402

QUICK = ["--model=none", "--device=cpu", "--threads=1", "--align=none"]
NAMES = "return [...document.querySelectorAll('#pairs tbody tr')].map((row) => row.querySelector('th').textContent)"


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory):
    """A cohort of four pairs, the last of which fails; one has a name that HTML would take for a tag."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = {"b 1": "b", "c & co": "c", "itself": "a", "gone": "missing"}
    table = folder / "pairs.csv"
    lines = [f"{name},{images}/a.nii.gz,{images}/{moving}.nii.gz" for name, moving in rows.items()]
    table.write_text("\n".join(["name,fixed,moving", *lines]), encoding="utf-8")
    pairs = read_table(table, QUICK)
    write_index(ranked(row_of(register_pair(pair, str(folder))) for pair in pairs), folder)
    return folder


@pytest.fixture(scope="module")
def driver(folder):
    with browser(width=1500) as opened:
        open_page(opened, folder / "index.html")
        yield opened


def click(driver, selector: str) -> None:
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def write_filter(driver, text: str) -> None:
    driver.execute_script(
        "const box = document.getElementById('filter'); box.value = arguments[0];box.dispatchEvent(new Event('input'))",
        text,
    )


def test_all_pairs_are_there_the_failed_one_first_with_pictures_and_pages(driver, folder):
    names = driver.execute_script(NAMES)
    assert names[0] == "gone" and sorted(names) == ["b 1", "c & co", "gone", "itself"]
    assert "missing.nii.gz" in driver.find_element("css selector", "#pairs tbody tr").text
    links = {unquote(each.get_attribute("href")) for each in driver.find_elements("css selector", "#pairs tbody a")}
    assert links == {f"{folder.as_uri()}/{name}/report.html" for name in ("b 1", "c & co", "itself")}
    sizes = driver.execute_async_script(
        "const done = arguments[0]; for (const image of document.images) image.loading = 'eager';"
        "Promise.all([...document.images].map((image) => image.decode()))"
        ".then(() => done([...document.images].map((image) => image.naturalWidth)), (error) => done(String(error)))"
    )
    assert len(sizes) == 3 and min(sizes) > 100


def test_columns_sort_and_words_filter(driver):
    heading = "//thead//button[starts-with(normalize-space(), '{}')]"
    button = driver.find_element("xpath", heading.format("registered"))
    driver.execute_script("arguments[0].click()", button)
    up = driver.execute_script(NAMES)
    button = driver.find_element("xpath", heading.format("registered"))
    driver.execute_script("arguments[0].click()", button)
    down = driver.execute_script(NAMES)
    assert up[:3] == down[2::-1] and up[2] == "itself" and up[3] == down[3] == "gone", "without a figure: last"
    write_filter(driver, "failed")
    assert driver.execute_script(NAMES) == ["gone"]
    write_filter(driver, "nothing like it")
    assert driver.execute_script(NAMES) == [] and "0 of 4" in driver.find_element("id", "shown").text
    write_filter(driver, "")


def test_marks_stay_and_are_exported(driver, folder):
    click(driver, "[aria-label='accept b 1']")
    click(driver, "[aria-label='reject c & co']")
    pressed = False
    for _ in range(50):  # the browser keeps marks a moment after they are made
        open_page(driver, folder / "index.html")
        pressed = driver.find_element("css selector", "[aria-label='accept b 1']").get_attribute("aria-pressed")
        if pressed == "true":
            break
    assert pressed == "true"
    driver.execute_script(
        "const list = document.getElementById('marked'); list.value = 'reject';list.dispatchEvent(new Event('change'))"
    )
    assert driver.execute_script(NAMES) == ["c & co"]
    text = driver.execute_script(
        "let found; HTMLAnchorElement.prototype.click = function () { found = [this.download, this.href]; };"
        "document.getElementById('export').click(); return found"
    )
    assert text[0] == "marks.csv"
    lines = unquote(text[1]).partition(",")[2].split("\r\n")
    assert lines[0] == "name,mark" and {'"b 1",accept', '"c & co",reject', '"gone",'} < set(lines)


def test_nothing_leaves_the_page_and_nothing_goes_wrong_in_it(driver, folder):
    driver.get_log("browser")
    requests(driver)
    open_page(driver, folder / "index.html")
    assert all(address.startswith((folder.as_uri(), "data:")) for address in requests(driver))
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_telephone(folder, dark):
    with browser(width=390, height=800, dark=dark) as opened:
        open_page(opened, folder / "index.html")
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390


def test_without_javascript_there_is_a_plain_table(folder):
    with browser(javascript=False) as opened:
        opened.get((folder / "index.html").as_uri())
        text = opened.find_element("tag name", "body").text
        links = [each.get_attribute("href") for each in opened.find_elements("css selector", "table a")]
    assert all(name in text for name in ("b 1", "c & co", "itself", "gone", "missing.nii.gz", "registered", "good"))
    assert len(links) == 3 and not any("gone" in link for link in links), "what failed has no page"
