"""Text is read in the encoding that it is in, or not at all."""

import io

import pytest

from thinkseg.data.text import decoded, input_lines, is_whole, lines_of, printable, read_text, stream_lines
from thinkseg.errors import DataError

WORDS = "café: the 杯子 on the left"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_says_what_a_text_is_in_and_is_no_part_of_it(encoding):
    assert decoded(WORDS.encode(encoding), "it") == WORDS
    assert decoded(WORDS.encode(encoding), "it", "utf-8") == WORDS


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("the\n杯子".encode("gbk"), "UTF-8 and is not \\(line 2\\)"),
        ("café".encode("latin-1"), "UTF-8 and is not \\(line 1\\)"),
        (b"\xff\xfea", "UTF-16-LE, as its byte order mark says, and is not"),
    ],
)
def test_a_text_in_another_encoding_is_told_with_its_line_and_what_to_do(tmp_path, raw, told):
    (tmp_path / "t.csv").write_bytes(raw)
    with pytest.raises(DataError, match=f"t.csv' should be text in {told}.*--encoding"):
        read_text(tmp_path / "t.csv")


def test_the_encoding_that_its_owner_names_is_taken(tmp_path):
    (tmp_path / "t.csv").write_bytes("杯子".encode("gbk"))
    assert read_text(tmp_path / "t.csv", "gbk") == "杯子"
    for name in ("klingon", "hex", "a\0b"):
        with pytest.raises(DataError, match="no text encoding"):
            read_text(tmp_path / "t.csv", name)


def test_only_line_ends_end_a_line():
    assert lines_of("a\u2028b\x0bc\x85d\r\n\ne\rf\n") == ["a\u2028b\x0bc\x85d", "", "e", "f"]
    assert lines_of("") == []


def stream(raw):
    return io.TextIOWrapper(io.BytesIO(raw))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_standard_input_is_read_like_a_file(encoding):
    assert input_lines(stream("é.png\r\nb\u2028.png\r\n".encode(encoding))) == ["é.png", "b\u2028.png"]
    assert input_lines(stream("杯.png\n".encode("gbk")), "gbk") == ["杯.png"]
    assert input_lines(io.StringIO("\ufeffa.png\nb.png")) == ["a.png", "b.png"]


def test_a_name_that_is_not_utf8_stays_the_name_of_its_file():
    (line,) = input_lines(stream(b"\xd6\xd0.png\n"))
    assert line.encode("utf-8", "surrogateescape") == b"\xd6\xd0.png"
    assert printable(line) == "\\xd6\\xd0.png"
    assert (is_whole("a😀"), is_whole("a\ud83d")) == (True, False)


class Slow:
    """Standard input that gives one byte at a time, and notes how many it has given."""

    def __init__(self, content):
        self.buffer = self
        self.content = content
        self.given = 0

    def read1(self, _size):
        self.given += 1
        return self.content[self.given - 1 : self.given]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gbk"])
@pytest.mark.parametrize("text", ["a\r\n杯\u4e00\rb\n\nc", "", "\r\n", "a", "a\n", "a\r", "\n\r\n"])
def test_lines_of_a_stream_are_those_of_the_whole_text_however_it_is_cut(encoding, text):
    named = encoding if encoding in ("utf-16-le", "gbk") else ""
    assert list(stream_lines(Slow(text.encode(encoding)), named)) == lines_of(text)
    assert list(stream_lines(io.StringIO(text, newline=""))) == lines_of(text)


def test_a_line_of_a_stream_comes_before_the_next_one_is_asked_for():
    slow = Slow(b"first\nsecond\n")
    lines = stream_lines(slow)
    assert next(lines) == "first"
    assert slow.given == len(b"first\n")


def test_a_stream_in_another_encoding_is_told_with_its_line():
    lines = stream_lines(Slow("a\nb\n杯".encode("gbk") + b"\xff"), "gbk")
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(DataError, match=r"standard input should be text in GBK and is not \(line 3\)"):
        next(lines)
