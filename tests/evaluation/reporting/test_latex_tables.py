from pathlib import Path

from thinkseg.evaluation.reporting.latex_tables import latex, markdown, rows_of, write_rows
from thinkseg.types import Metric, Report

REPORT = Report(
    "cod10k",
    "my_model",
    {"s_measure": Metric(0.87349, 3), "mae": Metric(0.02, 3), "p50": Metric(0.5, 3)},
    {"salient": {"s_measure": Metric(0.9, 1)}, "camouflaged": {"s_measure": Metric(0.8, 2)}},
)
MEASURES = ("s_measure", "hce", "mae", "p50")


def test_a_markdown_table_has_a_line_for_the_run_and_one_for_each_task() -> None:
    lines = markdown(rows_of(REPORT, "my_model"), ("s_measure", "mae", "p50")).splitlines()
    assert lines[0] == "| model | S-measure ↑ | MAE ↓ | P@0.5 ↑ |"
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[2] == "| my_model | 0.873 | 0.020 | 50.0 |"
    assert lines[3] == "| my_model, salient | 0.900 | – | – |"
    assert len(lines) == 5


def test_a_latex_table_is_ready_to_be_pasted_and_special_letters_are_escaped() -> None:
    table = latex({r"a_b & 50% \x~^{}#$": REPORT.metrics}, ("s_measure", "mae"))
    assert table.startswith(
        "\\begin{tabular}{lrr}\n\\toprule\nModel & S-measure $\\uparrow$ & MAE $\\downarrow$ \\\\\n"
    )
    name = r"a\_b \& 50\% \textbackslash{}x\textasciitilde{}\textasciicircum{}\{\}\#\$"
    assert f"\\midrule\n{name} & 0.873 & 0.020 \\\\\n\\bottomrule\n\\end{{tabular}}\n" in table


def test_a_name_cannot_break_its_row() -> None:
    row = markdown({"a|b\nc": REPORT.metrics}, ("mae",)).splitlines()[2]
    assert row == r"| a\|b c | 0.020 |"


def test_files_are_written_without_columns_that_no_row_has(tmp_path: Path) -> None:
    write_rows(tmp_path, rows_of(REPORT, "my_model"), MEASURES)
    assert "HCE" not in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "HCE" not in (tmp_path / "table.tex").read_text(encoding="utf-8")
    assert "my\\_model" in (tmp_path / "table.tex").read_text(encoding="utf-8")
