"""What a page says of each kind of answer."""

from pathlib import Path

from thinkseg.results.result import Result
from thinkseg.serving.page.scene import FoundScene
from thinkseg.serving.page.showing import (
    Shown,
    downloads_html,
    show_error,
    show_scene,
    show_writing,
    table_html,
    verdict_html,
)
from thinkseg.serving.page.viewer import ShownImage
from thinkseg.types import Completion, FinishReason

from .conftest import SAID, TWO, Ask


def shown(result: Result) -> Shown:
    scene = FoundScene("photo.png").with_result(result)
    return show_scene(scene, scene.results(result.image), result, ShownImage("photo.webp"), verdict_html(result))


def test_objects_are_counted_listed_and_drawn_each_in_its_own_colour(ask: Ask) -> None:
    page = shown(ask("the dogs"))
    assert page.verdict_html is not None
    assert page.table_html is not None
    assert page.viewer_html is not None
    assert "2 objects found" in page.verdict_html
    assert "two of them" in (page.thinking_html or "")
    assert page.table_html.count("<tr") == 1 + 2
    assert "20, 10, 80, 30" in page.table_html
    assert "(170, 42) beside" in page.table_html
    assert page.viewer_html.count('class="object"') == 2
    assert "rgb(255,64,72)" in page.viewer_html
    assert "rgb(30,132,255)" in page.viewer_html
    assert 'viewBox="0 0 200 50"' in page.viewer_html


def test_what_the_model_wrote_and_what_was_read_of_it_are_there_on_demand(ask: Ask) -> None:
    written = shown(ask("the dogs")).written_html
    assert written is not None
    assert '<details class="written">' in written
    assert TWO.replace("<", "&lt;").replace(">", "&gt;") in written
    assert "&quot;frame&quot;: [" in written


def test_scores_have_a_column_where_there_are_any(ask: Ask) -> None:
    assert "score" not in table_html([ask("the dogs", None)])
    assert table_html([ask("the dogs")]).count(">0.76</td>") == 2


def test_the_objects_of_several_queries_are_numbered_on_and_say_which_query_found_them(ask: Ask) -> None:
    table = table_html([ask("the dogs"), ask("the cat")])
    assert [f'data-number="{number}"' in table for number in (1, 2, 3, 4)] == [True, True, True, False]
    assert table.count(">the dogs</td>") == 2
    assert table.count(">the cat</td>") == 1


def test_an_abstention_is_told_as_one(ask: Ask) -> None:
    page = shown(ask("nothing"))
    assert 'class="verdict nothing"' in (page.verdict_html or "")
    assert "The model sees nothing that “nothing” asks for." in (page.verdict_html or "")
    assert page.table_html == ""
    assert "no dog" in (page.thinking_html or "")
    assert 'class="object"' not in (page.viewer_html or "")


def test_a_parse_failure_is_told_as_one_with_its_reason_and_its_text_unfolded(ask: Ask) -> None:
    page = shown(ask("a riddle"))
    assert 'class="verdict unreadable"' in (page.verdict_html or "")
    assert "The model&#x27;s text is not an answer in the expected format." in (page.verdict_html or "")
    assert '<details class="written" open>' in (page.written_html or "")
    assert "&lt;think&gt;hm &lt;b&gt;so&lt;/b&gt;" in (page.written_html or "")


def test_one_that_was_stopped_is_not_told_as_a_failure_of_the_model(ask: Ask, monkeypatch: object) -> None:
    SAID["a long story"] = Completion("<think>on and on", FinishReason.LENGTH)
    try:
        result = ask("a long story")
    finally:
        del SAID["a long story"]
    assert "The model ran into the length limit" in verdict_html(result)
    assert "<strong>Stopped</strong>" in verdict_html(result, stopped=True)


def test_an_error_is_a_sentence_and_leaves_what_was_found_before() -> None:
    page = show_error("no <such> file")
    assert 'class="verdict error"' in (page.verdict_html or "")
    assert "<span>No &lt;such&gt; file.</span>" in (page.verdict_html or "")
    assert page == Shown(page.verdict_html)


def test_nothing_that_is_said_becomes_a_part_of_the_page(ask: Ask, tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    for said in (
        TWO,
        Completion("<bbox>" + script),
        f"<think>{script}</think><bbox></bbox><points></points><labels>[]</labels>",
    ):
        SAID[script] = said
        try:
            page = shown(ask(script))
        finally:
            del SAID[script]
        told = [page.verdict_html, page.viewer_html, page.thinking_html, page.table_html, page.written_html]
        assert "<script" not in "".join(html or "" for html in told)
    assert "<script" not in (show_writing(script).thinking_html or "")
    assert "<script" not in downloads_html([("Mask", f"{script}.png", f"file={script}")])
