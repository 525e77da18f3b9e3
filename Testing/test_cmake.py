"""What CMake installs is what is there, and the metadata are written as the ExtensionsIndex reads them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def listed(path, name):
    """The entries of a set(NAME ...) of a CMakeLists.txt."""
    found = re.search(rf"set\({name}\s([^)]*)\)", (ROOT / path).read_text(encoding="utf-8"))
    assert found, f"{path} has no set({name} ...)"
    return found.group(1).split()


def files(folder, pattern):
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_source_of_the_library_is_installed_once():
    scripts = listed("VertebralBMDLib/CMakeLists.txt", "LIB_SCRIPTS")
    assert len(scripts) == len(set(scripts)) and set(scripts) == files("VertebralBMDLib", "*.py")


def test_every_template_is_installed():
    assert set(listed("VertebralBMDLib/CMakeLists.txt", "LIB_TEMPLATES")) == files("VertebralBMDLib", "*.j2")


def test_every_resource_is_installed():
    resources = set(listed("VertebralBMDLib/CMakeLists.txt", "LIB_RESOURCES"))
    expected = {
        f"{folder}/{name}"
        for folder in ("Models", "Phantoms", "Physics", "Schemas", "Thresholds")
        for name in files(f"Resources/{folder}", "*")
        if not name.endswith(".md")
    }
    assert resources == expected and expected


def test_every_file_of_the_module_is_installed():
    text = (ROOT / "VertebralBMD" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"set\(MODULE_NAME VertebralBMD\)", text)
    entries = {
        name: {entry.replace("${MODULE_NAME}", "VertebralBMD") for entry in listed("VertebralBMD/CMakeLists.txt", name)}
        for name in ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES")
    }
    assert entries["MODULE_PYTHON_SCRIPTS"] == files("VertebralBMD", "*.py")
    assert entries["MODULE_PYTHON_RESOURCES"] == {f"Resources/{name}" for name in files("VertebralBMD/Resources", "*")}


@pytest.fixture
def top():
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_first_project_is_the_name_of_the_extension(top):
    assert re.search(r"project\(\s*([\w-]+)", top).group(1) == "VertebralBMD"


@pytest.mark.parametrize("name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"])
def test_metadata_stand_on_one_line_in_double_quotes(top, name):
    found = re.findall(rf'^set\(EXTENSION_{name} "([^"\n]+)"\)$', top, re.MULTILINE)
    assert len(found) == 1


def test_addresses_are_raw_pictures_that_are_in_the_repository(top):
    base = "https://raw.githubusercontent.com/VertebralBMD/SlicerVertebralBMD/main/"
    icon = re.search(r'set\(EXTENSION_ICONURL "([^"]+)"\)', top).group(1)
    shots = re.search(r'set\(EXTENSION_SCREENSHOTURLS "([^"]+)"\)', top).group(1).split()
    for address in (icon, *shots):
        assert address.startswith(base) and address.endswith(".png")
        assert (ROOT / address.removeprefix(base)).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", address


def test_the_icon_is_128_pixels_wide_and_high():
    header = (ROOT / "VertebralBMD" / "Resources" / "Icons" / "VertebralBMD.png").read_bytes()[16:24]
    assert (int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")) == (128, 128)


def test_both_folders_are_built_and_the_files_named_are_there(top):
    for folder in ("VertebralBMD", "VertebralBMDLib"):
        assert f"add_subdirectory({folder})" in top and (ROOT / folder / "CMakeLists.txt").exists()
    for name in re.findall(r'"\$\{CMAKE_CURRENT_SOURCE_DIR\}/([^"]+)"', top):
        assert (ROOT / name).is_file(), name


def test_no_text_file_has_windows_line_ends():
    for folder, pattern in ((".", "CMakeLists.txt"), ("VertebralBMD", "*.py"), ("VertebralBMDLib", "*.py"), ("Resources", "*.json")):
        for path in (ROOT / folder).glob(pattern) if folder == "." else (ROOT / folder).rglob(pattern):
            assert b"\r\n" not in path.read_bytes(), path
