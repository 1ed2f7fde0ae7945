"""CVAT's own XML is read as "CVAT for images 1.1" writes it, and nothing in it can unpack or name other files."""

import re

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.errors import DataError

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id><name>walls</name><size>2</size><mode>annotation</mode>
      <labels><label><name>crack</name><color>#ff0000</color><type>any</type><attributes></attributes></label></labels>
    </task>
  </meta>
"""
SQUARE = "10.00,5.00;30.00,5.00;30.00,10.00;10.00,10.00"
"""Columns 10 to 29 and rows 5 to 9."""


def polygon(label="crack", points=SQUARE, more=""):
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="0"{more}></polygon>'


def image(*shapes, name="a.jpg", more="", width=40):
    inner = "\n    ".join(shapes)
    return f'  <image id="0" name="{name}"{more} width="{width}" height="20">\n    {inner}\n  </image>\n'


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (40, 20)).save(tmp_path / f"images/{name}.jpg")
    return tmp_path


def write(root, *images):
    (root / "annotations.xml").write_text(HEAD + "".join(images) + "</annotations>\n")


def own(root, name="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, **how))
    return listings


def test_polygons_of_a_label_are_one_request(root):
    tag = '<tag label="outside" source="manual"></tag>'
    attribute = '<attribute name="depth">deep</attribute>'
    other = polygon(points="0,0;4,0;4,2;0,2").replace("></polygon>", f">{attribute}</polygon>")
    write(root, image(polygon(), other, tag))
    (sample,) = own(root)["all"]
    assert (sample.id, sample.query) == ("images/a-crack", "the crack")
    assert sample.instances.sum(axis=(1, 2)).tolist() == [100, 8]
    assert sample.target[5:10, 10:30].all()


def test_a_mask_is_run_lengths_of_its_rectangle_row_by_row_that_begin_with_what_is_not_painted(root):
    write(root, image('<mask label="crack" source="manual" occluded="0" rle="1, 3, 2, 2" left="7" top="4" width="4" '
                      'height="2" z_order="0"></mask>'))  # fmt: skip
    (sample,) = own(root)["all"]
    expected = np.zeros((20, 40), bool)
    expected[4, 8:11] = True
    expected[5, 9:11] = True
    assert np.array_equal(sample.target, expected)


def test_shapes_of_a_group_are_one_object(root):
    group = ' group_id="3"'
    alone = ' group_id="0"'
    write(root, image(polygon(more=group), polygon(points="0,0;4,0;4,2;0,2", more=group), polygon(more=alone)))
    (sample,) = own(root)["all"]
    assert sample.instances.sum(axis=(1, 2)).tolist() == [108, 100]


def test_an_ellipse_is_drawn(root):
    write(root, image('<ellipse label="hole" source="manual" occluded="0" cx="20" cy="10" rx="6" ry="3" z_order="0"/>'))
    (sample,) = own(root)["all"]
    assert abs(sample.target.sum() - np.pi * 18) < 3
    rows, columns = np.argwhere(sample.target).T
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (14, 26, 7, 13)


def test_a_box_and_a_line_have_no_mask_and_are_said(root):
    box = '<box label="rust" source="manual" occluded="0" xtl="1.0" ytl="1.0" xbr="5.0" ybr="5.0" z_order="0"></box>'
    write(root, image(polygon(), box))
    listing = own(root)["all"]
    assert [sample.query for sample in listing] == ["the crack"]
    assert [fault.where for fault in listing.faults] == [f"image 'a.jpg' in '{root / 'annotations.xml'}': rust"]
    write(root, image(box))
    with pytest.raises(DataError, match="with boxes, points or lines alone"):
        own(root)


def test_the_subsets_of_a_project_are_splits(root):
    write(root, image(polygon(), more=' subset="Train"'), image(polygon(), name="b.jpg", more=' subset="Validation"'))
    assert {split: len(listing) for split, listing in own(root).items()} == {"train": 1, "validation": 1}
    assert len(load_dataset("cvat", "train", root)) == 1
    write(root, image(polygon(), more=' subset="default"'))
    assert list(own(root)) == ["all"]


def test_an_image_that_is_there_twice_is_told(root):
    write(root, image(polygon()), image(polygon(points="0,0;4,0;4,2;0,2")))
    (listing,) = own(root).values()
    assert len(listing) == 1
    assert listing.faults[0].kind is FaultKind.AMBIGUOUS
    assert "is meant more than once" in listing.faults[0].detail


def test_images_may_lie_elsewhere_and_one_that_is_missing_is_told(root):
    write(root, image(polygon(), name="walls/north/a.jpg"), image(polygon(), name="z.jpg"), image(name="y.jpg"))
    listing = own(root, images="images")["all"]
    assert [sample.image for sample in listing] == [root / "images/a.jpg"]
    assert [(fault.kind, fault.where) for fault in listing.faults] == [(FaultKind.MISSING_IMAGE, "z.jpg")]


BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotations [
  <!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">
  <!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
]>
<annotations><image name="&b;" width="40" height="20"/></annotations>
"""
OUTSIDE = """<?xml version="1.0"?>
<!DOCTYPE annotations SYSTEM "file:///etc/passwd">
<annotations><image name="a.jpg" width="40" height="20"/></annotations>
"""


@pytest.mark.parametrize("content", [BOMB, OUTSIDE])
def test_a_document_type_is_refused_before_an_entity_is_read(root, content):
    (root / "annotations.xml").write_text(content)
    with pytest.raises(DataError, match=r"has a document type .*, in which entities could hide: take the line out"):
        load_dataset("cvat", "train", root / "annotations.xml")


def test_entities_that_need_no_document_type_are_letters(root):
    write(root, image(polygon(label="nuts &amp; bolts &#x4F60;")))
    assert own(root)["all"][0].query == "the nuts & bolts 你"


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (polygon(points="1,1;2,2"), "image 'a.jpg' in .*: 'points' should be a polygon of three corners or more"),
        (polygon(points="1;2;3"), "an x and a y for each|three corners"),
        (polygon(points="a,b;1,2;3,4"), "'points' should be 'x,y;x,y;…', found 'a,b"),
        (polygon(label=" "), "it lacks 'label'"),
        ('<mask label="x" rle="1, b" left="0" top="0" width="2" height="2"/>', "'rle' should be whole numbers"),
        ('<mask label="x" rle="" left="0" top="0" width="2" height="2"/>', "it lacks 'rle'"),
        ('<mask label="x" rle="1, 3" left="0" top="0" width="0" height="2"/>', "'width' should be at least 1, found 0"),
        ('<ellipse label="x" cx="1" cy="1" rx="0" ry="2"/>', "'rx' and 'ry' should be above 0"),
    ],
)
def test_a_shape_that_is_not_as_expected_is_told_with_its_image(root, shape, told):
    write(root, image(shape))
    with pytest.raises(DataError, match=told):
        load_dataset("cvat", "train", root)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ('<mask label="x" rle="0, 3" left="0" top="0" width="2" height="2"/>', "should add up to 4, found 3"),
        (
            '<mask label="x" rle="0, 4" left="39" top="0" width="2" height="2"/>',
            "does not lie in the image, which is 40×20",
        ),
    ],
)
def test_a_mask_that_does_not_fit_is_told_when_it_is_drawn(root, shape, told):
    write(root, image(shape))
    with pytest.raises(DataError, match=re.escape(told)):
        own(root)["all"][0]


def test_what_is_no_xml_or_another_export_is_refused_in_a_sentence(root):
    file = root / "annotations.xml"
    file.write_text("<annotations><image")
    with pytest.raises(DataError, match="cannot be read as XML"):
        load_dataset("cvat", "train", file)
    file.write_text('<?xml version="1.0" encoding="of-nobody"?><annotations/>')
    with pytest.raises(DataError, match="cannot be read as XML"):
        load_dataset("cvat", "train", file)
    file.write_text(HEAD + '<track id="0" label="crack"></track></annotations>')
    with pytest.raises(DataError, match="is 'CVAT for video', whose tracks are not read: export 'CVAT for images'"):
        own(root)
    file.write_text(HEAD + "</annotations>")
    with pytest.raises(DataError, match="has no images"):
        own(root)


def test_an_image_of_another_size_is_refused(root):
    write(root, image(polygon(), width=80))
    with pytest.raises(DataError, match=r"is 80×20 \(width×height\), its image 40×20"):
        own(root)["all"][0]
