"""Class maps are read in the forms in which tools write them: text, CSV and JSON, by colour or by number."""

import json

import pytest

from thinkseg.data.readers.class_maps import VOC, read_class_map, voc_colour
from thinkseg.errors import DataError

CRACK, RUST = 0xFF0000, 0x00FF80


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:255,0,0::\nrust:0,255,128::\n"),
        ("label_colors.txt", "255 0 0\tcrack\n0 255 128\t\trust\n0 0 0\tVoid\n"),
        ("class_dict.csv", "name,r,g,b\ncrack,255,0,0\nrust,0,255,128\nVoid,0,0,0\n"),
        ("colours.csv", "Label; Colour\ncrack; #ff0000\nrust; #00FF80\n"),
        ("a.json", '{"crack": [255, 0, 0], "rust": "#00ff80"}'),
        ("a.json", '{"#FF0000": "crack", "0,255,128": "rust"}'),
        ("a.json", '{"classes": [{"name": "crack", "color": "#ff0000"}, {"title": "rust", "rgb": [0, 255, 128]}]}'),
        ("a.json", '[{"label": "crack", "color": "(255, 0, 0)"}, {"label": "rust", "color": "0,255,128"}]'),
    ],
)
def test_names_by_colour(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    found = read_class_map(tmp_path / name)
    assert found.names(by_number=False) == {CRACK: "crack", RUST: "rust"}
    assert found.names(by_number=True) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("class_names.txt", "_background_\ncrack\nrust\n"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, crack\n2, rust\n"),
        ("a.json", '{"1": "crack", "2": "rust"}'),
        ("a.json", '{"crack": 1, "rust": 2}'),
        ("a.json", '[{"id": 1, "name": "crack"}, {"id": 2, "name": "rust"}]'),
    ],
)
def test_names_by_number(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    found = read_class_map(tmp_path / name)
    assert found.names(by_number=True) == {1: "crack", 2: "rust"}
    assert found.ignored(by_number=True) == [255]


def test_what_is_called_void_counts_neither_way(tmp_path):
    (tmp_path / "a.json").write_text('{"crack": "#ff0000", "Void": "#ffffff", "unlabelled": "#101010"}')
    assert sorted(read_class_map(tmp_path / "a.json").ignored(by_number=False)) == [0x101010, 0xFFFFFF]


def test_the_colours_of_pascal_voc_are_those_of_its_development_kit():
    published = {"aeroplane": 0x800000, "bicycle": 0x008000, "person": 0xC08080, "tv monitor": 0x004080}
    names = VOC.names(by_number=False)
    assert {name: code for code, name in names.items() if name in published} == published
    assert len(names) == 20
    assert VOC.ignored(by_number=False) == [voc_colour(255)] == [0xE0E0C0]
    assert VOC.names(by_number=True)[15] == "person"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", '{"crack": "#ff0000", "rust": [255, 0, 0]}', "has the colour #ff0000 for 'crack' and for 'rust'"),
        ("a.json", '{"1": "crack", "01": "rust"}', "has the number 1 for 'crack' and for 'rust'"),
        ("a.json", '{"crack": "reddish"}', "'crack' in '.*' should be a colour such as '#ff8000'|found 'crack'"),
        ("a.json", '{"crack": [256, 0, 0]}', "should have a colour of three numbers from 0 to 255"),
        ("a.json", '{"background": "#000000"}', "names no class"),
        ("a.json", "3", "should be an object or a list of names and colours, found 3"),
        ("a.json", "{", "cannot be read as a class map"),
        ("a.json", '[{"color": "#ff0000"}]', "should have a 'name'"),
        ("a.csv", "name,area\ncrack,3\n", "should have a colour .* or a number .*; it has name, area"),
        ("a.csv", "r,g,b\n1,2,3\n", "should have the name of a class, in a column such as 'name'; it has r, g, b"),
        ("labelmap.txt", "crack:red::\n", "should have a colour of three numbers"),
    ],
)
def test_a_map_that_is_not_as_expected_is_refused_in_a_sentence(tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=told):
        read_class_map(tmp_path / name)


def test_a_map_in_another_encoding_is_read_when_that_is_said(tmp_path):
    (tmp_path / "a.json").write_bytes(json.dumps({"裂缝": "#ff0000"}, ensure_ascii=False).encode("gbk"))
    assert read_class_map(tmp_path / "a.json", "gbk").names(by_number=False) == {CRACK: "裂缝"}
