"""Office files to passages. The files are written by the libraries that people write them with."""

import datetime
import io
import sys
import tracemalloc
import zipfile

import pytest

from fgr_retriever.cli.reading.files import Reading, read_passages
from fgr_retriever.cli.reading.sources import find_sources
from fgr_retriever.errors import InputError, MissingExtraError
from fgr_retriever.text.tables import tables

openpyxl = pytest.importorskip("openpyxl")
docx = pytest.importorskip("docx")
pptx = pytest.importorskip("pptx")
pytest.importorskip("mammoth")

PICTURE = bytes.fromhex(  # PNG, one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738"
    "550000000049454e44ae426082"
)


def read(path, **settings):
    return list(read_passages(find_sources([str(path)]).files, Reading(**settings)))


def rows_of(kind, frame):
    """Fill a table of a document or a slide."""
    for row, cells in zip(frame.rows, (("Party", "Notice"), ("Acme", "30 days"), ("Globex", "60 days")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "a.docx"
    made = docx.Document()
    made.add_heading("Supply contract", 0)
    made.add_paragraph("Between Acme and Globex.")
    made.add_heading("Ending", 1)
    made.add_paragraph("In writing", style="List Bullet")
    made.add_paragraph("By post", style="List Bullet")
    made.add_heading("Notice", 2)
    rows_of("docx", table := made.add_table(3, 2))
    table.cell(1, 1).add_paragraph("from receipt")
    made.add_picture(io.BytesIO(PICTURE))
    made.save(path)
    return path


@pytest.fixture
def slides(tmp_path):
    path = tmp_path / "a.pptx"
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Kiln\vplan"
    first.placeholders[1].text = "Clay is fired.\nThe glaze runs."
    first.notes_slide.notes_text_frame.text = "Speak slowly."
    made.slides.add_slide(made.slide_layouts[6])
    third = made.slides.add_slide(made.slide_layouts[6])
    inches = [pptx.util.Inches(1)] * 4
    rows_of("pptx", third.shapes.add_table(3, 2, *inches).table)
    third.shapes.add_group_shape().shapes.add_textbox(*inches).text_frame.text = "In a group."
    third.shapes.add_picture(io.BytesIO(PICTURE), *inches[:2])
    made.save(path)
    return path


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "a.xlsx"
    made = openpyxl.Workbook()
    staff = made.active
    staff.title = "Staff"
    for row in (
        ["Pay in euros, by month"],
        [],
        ["Name", "Pay", "Since", "Part\ntime", None],
        ["Omar Reyes", 2150, datetime.datetime(2021, 3, 1), True, "on leave"],
        ["Ana Lima", 0.1 + 0.2, None, False],
    ):
        staff.append(row)
    made.create_sheet("Form").append(["Total", 55])
    made.create_sheet("Empty")
    made.create_chartsheet("Chart").add_chart(openpyxl.chart.BarChart())
    made.save(path)
    return path


class TestDocument:
    def test_headings_lists_and_tables_are_kept(self, document):
        (passage,) = read(document)
        assert passage.text == (
            "# Supply contract\n\nBetween Acme and Globex.\n\n# Ending\n\n- In writing\n- By post\n\n## Notice\n\n"
            "| Party | Notice |\n| --- | --- |\n| Acme | 30 days from receipt |\n| Globex | 60 days |"
        )
        assert [passage.text[one.start : one.end] for one in tables(passage.text)] == ["| Party | Notice |"]

    def test_passages_know_their_place_and_their_headings(self, document):
        passages = read(document, passage_chars=40)
        whole = read(document)[0].text
        for one in passages:
            assert whole[one.metadata["start_index"] :].startswith(one.text)
        assert passages[-1].metadata["title"] == f"{document} > Ending > Notice"


class TestSlides:
    def test_each_slide_is_a_page(self, slides):
        passages = read(slides)
        assert [(one.text, one.metadata["page"], one.metadata["title"]) for one in passages] == [
            ("# Kiln plan\n\n- Clay is fired.\n- The glaze runs.\n\nSpeak slowly.", 1, f"{slides} > Kiln plan"),
            (
                "| Party | Notice |\n| --- | --- |\n| Acme | 30 days |\n| Globex | 60 days |\n\nIn a group.",
                3,
                str(slides),
            ),
        ]


class TestSheets:
    def test_each_row_is_a_passage_with_the_names_of_its_columns(self, book):
        passages = read(book)
        assert [(one.text, one.metadata["sheet"], one.metadata["row"]) for one in passages] == [
            ("Pay in euros, by month", "Staff", 1),
            ("Name: Omar Reyes\nPay: 2150\nSince: 2021-03-01\nPart time: True\non leave", "Staff", 4),
            ("Name: Ana Lima\nPay: 0.3\nPart time: False", "Staff", 5),
            ("| Total | 55 |", "Form", 1),
        ]
        assert passages[1].metadata["title"] == f"{book} > Staff"
        assert len({one.id for one in passages}) == 4

    def test_places_are_those_in_the_text_of_all_rows(self, book):
        passages = read(book)
        whole = "".join(f"{one.text}\n\n" for one in passages)
        for one in passages:
            start = one.metadata["start_index"]
            assert whole[start : start + len(one.text)] == one.text
            assert one.metadata["line"] == whole.count("\n", 0, start) + 1

    def test_what_a_formula_gave_is_read(self, book):
        made = openpyxl.load_workbook(book)
        made["Form"]["C1"] = "=1+1"  # never computed, so that there is no value
        made.save(book)
        assert read(book)[-1].text == "| Total | 55 |  |"

    def test_wrong_dimensions_cut_nothing(self, book):
        rewrite(book, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b'ref="A1:E5"', b'ref="A1:A1"'))
        assert "on leave" in read(book)[1].text

    def test_a_row_far_down_is_refused(self, book):
        rewrite(book, "xl/worksheets/sheet2.xml", lambda xml: xml.replace(b'<row r="1">', b'<row r="999999999999">'))
        with pytest.raises(
            InputError, match=r"a\.xlsx: has more than 1,048,576 rows in 'Form', or 20,000,000 cells in"
        ):
            read(book)

    def test_many_wide_rows_are_refused(self, book):
        row = b'<row><c r="ZZZ1"><v>1</v></c></row>'
        rewrite(book, "xl/worksheets/sheet2.xml", lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + row * 1500))
        with pytest.raises(InputError, match="20,000,000 cells"):
            read(book)


def rewrite(path, part, change):
    """Change a part of a file, or add one."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    before = parts.get(part, b"")
    parts[part] = change(before)
    assert parts[part] != before
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


MAIN = {"document": "word/document.xml", "slides": "ppt/slides/slide1.xml", "book": "xl/worksheets/sheet1.xml"}


@pytest.fixture(params=MAIN)
def office_file(request):
    """A file of each kind, and the part of it that has its text."""
    return request.getfixturevalue(request.param), MAIN[request.param]


class TestHostileFiles:
    """They are refused before much of them is in memory."""

    def refused(self, path, match):
        tracemalloc.start()
        try:
            with pytest.raises(InputError, match=match):
                read(path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_what_unpacks_to_very_much(self, office_file):
        path, _ = office_file
        rewrite(path, "bomb.xml", lambda _: bytes(257 * 2**20))
        assert path.stat().st_size < 400_000
        assert self.refused(path, r"unpacks to 25[78] MiB, and at most 256 are read: save it in parts") < 5 * 2**20

    def test_what_says_that_it_unpacks_to_little(self, office_file):
        path, part = office_file
        rewrite(path, part, lambda xml: xml + b" " * 30 * 2**20)
        content = path.read_bytes()
        place = content.index(b"PK\x01\x02", content.rindex(b"PK\x03\x04"))
        while content[place + 46 : place + 46 + len(part)] != part.encode():
            place = content.index(b"PK\x01\x02", place + 1)
        path.write_bytes(content[: place + 24] + (1000).to_bytes(4, "little") + content[place + 28 :])
        assert self.refused(path, "not an Office file that can be read") < 10 * 2**20

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_entities(self, office_file, encoding):
        path, part = office_file
        entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(10))
        text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [{entities}]><x>&e9;</x>'
        rewrite(path, part, lambda _: text.encode(encoding))
        assert self.refused(path, f"{part} has a document type") < 5 * 2**20

    @pytest.mark.parametrize("entity", ["file:///etc/hostname", "http://localhost:9/"])
    def test_entities_from_elsewhere(self, office_file, entity):
        path, part = office_file
        rewrite(path, part, lambda _: f'<!DOCTYPE x [<!ENTITY e SYSTEM "{entity}">]><x>&e;</x>'.encode())
        self.refused(path, f"{part} has a document type")

    def test_much_xml(self, office_file):
        path, _ = office_file
        rewrite(path, "docProps/more.xml", lambda _: b"<a>" + bytes(65 * 2**20) + b"</a>")
        assert self.refused(path, r"unpacks to 6[56] MiB of XML, and at most (32|64) are read: save it in") < 5 * 2**20

    @pytest.mark.parametrize("kind", ["document", "slides"])
    def test_deep_nesting(self, request, kind):
        path = request.getfixturevalue(kind)
        rewrite(path, MAIN[kind], lambda xml: b"<a>" * 50_000 + b"</a>" * 50_000)
        self.refused(path, "not an Office file that can be read")

    @pytest.mark.parametrize("damage", [slice(None, 500), slice(500, None), slice(0)])
    def test_a_damaged_file(self, office_file, damage):
        path, _ = office_file
        path.write_bytes(path.read_bytes()[damage])
        self.refused(
            path, r"a\....x: not an Office file that can be read .*: it is damaged, of an older format or needs"
        )

    @pytest.mark.parametrize("kind", ["document", "slides"])  # openpyxl leaves out a sheet that is missing
    def test_a_missing_part(self, request, kind):
        path, part = request.getfixturevalue(kind), MAIN[kind]
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist() if name != part}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        self.refused(path, "not an Office file that can be read")


@pytest.mark.parametrize(("file", "package"), [("document", "mammoth"), ("slides", "pptx"), ("book", "openpyxl")])
def test_without_the_reader(request, monkeypatch, file, package):
    path = request.getfixturevalue(file)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"reading .*a\....x needs .*fgr-retriever\[office\]"):
        read(path)


def test_a_file_that_says_who_has_another_open_is_left_out(document):
    document.with_name("~$a.docx").write_bytes(b"\x05owner")
    assert {one.metadata["source"] for one in read(document.parent)} == {f"{document.parent.name}/a.docx"}
