# ruff: noqa: RUF001 (the look-alike characters are meant)
import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.text.atoms import snap_to_atoms
from fgr_retriever.text.sentences import phrases, segments, sentences, title

# Pieces that have broken segmenters before, glued together at random.
PIECES = [
    *("word", "Dr.", "U.S.", "e.g.", "No. 5", "3.14", "1,234.56", "-3.5 %", "10:30", "$5", "snake_case", "a.b.c()"),
    *("AB-1234/5", "/usr/lib/x.py", "https://a.b/c_(d)?x=1,2.", "me+x@ex.org", "[a. B](http://x.y)", "`c. D, e`"),
    *("| a | b |", "x\ty", "```", "# Head", "- item", "1. one", "Ann: hi", "don’t", "well-known", "and", "because"),
    *(
        "👩‍👩‍👧",
        "🇩🇪",
        "e\u0301",
        "\u0301",
        "\u200d",
        "中文",
        "。",
        "，",
        "」",
        "ไทย",
        "שלום",
        "؟",
        "۔",
        "हि।",
        "\u0600",
        "한글",
    ),
    *(".", "...", "!", "?", ",", ";", ":", "—", " – ", "(", ")", "[", "]", "`", '"', "'", "*", "|", "\x00", "\ud800"),
    *(" ", "\n", "\r\n", "\r", "\n\n", "\t", "\u2028", "\u00a0", "A", "b", "7"),
]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join) | st.lists(
    st.sampled_from(PIECES), max_size=25
).map(" ".join)


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def clauses(text: str) -> list[str]:
    return [text[start:end] for start, end in phrases(text, 0, len(text))]


def check_ranges(text: str, ranges: list[tuple[int, int]], start: int, end: int) -> None:
    """Sorted, disjoint, bare, and together all that is not white space."""
    position = start
    for low, high in ranges:
        assert position <= low < high <= end
        assert not text[position:low].strip()
        assert text[low:high] == text[low:high].strip()
        position = high
    assert not text[position:end].strip()


@given(texts)
def test_sentences_cover_the_text(text):
    check_ranges(text, sentences(text), 0, len(text))


@given(texts)
def test_phrases_cover_their_sentence(text):
    for start, end, body, _ in segments(text):
        check_ranges(text, phrases(text, start, end), start, end)
        check_ranges(text, phrases(text, start, end, body), start, end)


@given(texts)
def test_no_sentence_or_phrase_ends_inside_an_atom(text):
    for start, end, body, _ in segments(text):
        assert snap_to_atoms(text, start, end) == (start, end)
        for low, high in (*phrases(text, start, end), *phrases(text, start, end, body)):
            assert snap_to_atoms(text, low, high) == (low, high)


@given(texts, st.data())
def test_snapping_grows_to_a_fixed_point_that_splits_no_grapheme(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    low, high = snap_to_atoms(text, start, end)
    assert 0 <= low <= start <= end <= high <= len(text)
    assert snap_to_atoms(text, low, high) == (low, high)
    if start < end:
        for grapheme in regex.finditer(r"\X", text):
            if not regex.search(r"\s", grapheme.group()) and grapheme.group().split():
                assert not grapheme.start() < low < grapheme.end()
                assert not grapheme.start() < high < grapheme.end()


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=2, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_a_soft_wrap_is_no_border(words, line_break):
    wrapped = line_break.join(words) + "."
    assert cut(wrapped) == [wrapped]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith met J. K. Rowling. They talked.", ["Dr. Smith met J. K. Rowling.", "They talked."]),
        ("He lives in the U.S. The end.", ["He lives in the U.S.", "The end."]),
        ("The U.S. Army, e.g. here, paid 3.5 dollars.", ["The U.S. Army, e.g. here, paid 3.5 dollars."]),
        ("See No. 5 and Fig. 3. No. I will not.", ["See No. 5 and Fig. 3.", "No.", "I will not."]),
        ("Wait... what? Yes… Maybe.", ["Wait... what?", "Yes…", "Maybe."]),
        ("“Go.” He went. (It rained.) Fine!", ["“Go.”", "He went.", "(It rained.)", "Fine!"]),
        ('"Why?" he asked. Nobody knew.', ['"Why?" he asked.', "Nobody knew."]),
        ("It is so.[12] Others differ.", ["It is so.[12]", "Others differ."]),
        ("all lower. no capitals here.", ["all lower.", "no capitals here."]),
        ("今日は晴れ。明日は？「雨！」そう。", ["今日は晴れ。", "明日は？", "「雨！」", "そう。"]),
        ("ہاں۔ کیا؟ نہیں۔", ["ہاں۔", "کیا؟", "نہیں۔"]),
        ("यह है। वह है॥ ठीक।", ["यह है।", "वह है॥", "ठीक।"]),
        ("Read `a. B` and [C. D](http://e.f). Then stop.", ["Read `a. B` and [C. D](http://e.f).", "Then stop."]),
    ],
)
def test_stops(text, expected):
    assert cut(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Radium\nFound in\n1898. By whom?", ["# Radium\nFound in\n1898.", "By whom?"]),
        ("Radium\n======\nAn element", ["Radium\n======\nAn element"]),
        (
            "- one thing\n- another\n  goes on\n2. Second. Yes",
            ["- one thing", "- another\n  goes on", "2. Second.", "Yes"],
        ),
        ("| a | b |\n|---|---|\n| 1. X | 2 |", ["| a | b |", "|---|---|", "| 1. X | 2 |"]),
        ("a. B\tc\nd\te", ["a. B\tc", "d\te"]),
        ("Run\n```py\nx = 1. Y\n\ny()\n```\nand see.", ["Run", "```py", "x = 1. Y", "y()", "```", "and see."]),
        ("Ann: Hello. You?\nBob Lee: Fine", ["Ann: Hello. You?", "Bob Lee: Fine"]),
        ("one\n\ntwo\r\n\r\nthree", ["one", "two", "three"]),
        ("one\n   \ntwo", ["one", "two"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_structure(text, expected):
    assert cut(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Curie, born in 1867, won", ["Curie,", "born in 1867,", "won"]),
        ("It costs 1,000 at 10:30", ["It costs 1,000 at 10:30"]),
        ("she won the Nobel Prize and later found radium", ["she won the Nobel Prize", "and later found radium"]),
        ("bread and butter for everyone", ["bread and butter for everyone"]),
        ("he went (as one does) home", ["he went", "(as one does)", "home"]),
        ("NASA (the US) said", ["NASA (the US) said"]),
        ("one thing — another", ["one thing —", "another"]),
        ("猫，犬、鳥", ["猫，", "犬、", "鳥"]),
        ("see [a, b](http://x) now", ["see [a, b](http://x) now"]),
        ("| a, b | c, d |", ["| a, b | c, d |"]),
    ],
)
def test_clauses(text, expected):
    assert clauses(text) == expected


@pytest.mark.parametrize(
    "atom",
    [
        *(
            "1,234.56",
            "-3.5 %",
            "10:30",
            "2024-01-05",
            "1914–1918",
            "$5",
            "snake_case",
            "a.b.c()",
            "AB-1234/5",
            "don’t",
        ),
        *("well-known", "/usr/lib/x.py", "C:\\dir\\x.txt", "me+x@ex.co.uk", "https://a.b/c_(d)?x=1", "[a b](http://x)"),
        *(
            "`in line`",
            "| a b | c |",
            "x y\tz",
            "👩‍👩‍👧",
            "🇩🇪",
            "cafe\u0301",
            "U.S.",
            "C++",
            "__init__",
            "@bob",
            "20 °C",
            "한글",
        ),
    ],
)
def test_an_atom_is_whole(atom):
    text = f"so\n{atom}\nso" if "|" in atom or "\t" in atom else f"so {atom} so"
    low, high = text.index(atom), text.index(atom) + len(atom)
    for position in range(low, high):
        assert snap_to_atoms(text, position, position + 1) == (low, high)


@pytest.mark.parametrize(("text", "part"), [("5 km", "5"), ("f(x, y)", "x"), ("中文字", "文"), ("So. Next", "So")])
def test_what_may_be_cut(text, part):
    start = text.index(part)
    assert snap_to_atoms(text, start, start + len(part)) == (start, start + len(part))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Radium\nIt glows.", "# Radium"),
        ("Marie Curie\n\nShe found radium.", "Marie Curie"),
        ("\n Marie Curie \nMarie Curie was a physicist who found radium.", "Marie Curie"),
        ("Radium\n------\nIt glows", "Radium"),
        ("It glows in the\ndark.", None),
        ("It glows.\n\nWhy?", None),
        ("only one line", None),
        ("", None),
        ("| a | b |\n\ntext", None),
    ],
)
def test_title(text, expected):
    found = title(text)
    assert (found and text[slice(*found)]) == expected


@pytest.mark.parametrize(
    "piece",
    [
        "word ",
        "a. B ",
        ".",
        "!)",
        "a\n",
        "\n",
        "- x\n",
        "`a. ",
        "[a",
        "a.-",
        "http://.",
        "1)",
        ", ",
        "(a ",
        "and ",
        "|",
    ],
)
def test_time_is_linear(piece):
    text = piece * (300_000 // len(piece))
    started = time.process_time()
    for start, end in sentences(text):
        phrases(text, start, end)
    snap_to_atoms(text, 1, 2)
    assert time.process_time() - started < 8  # quadratic time would be minutes


@pytest.mark.parametrize(
    "text",
    [
        "Let the kiln cool to room temperature before you open its door.",
        "Open the valve of the boiler, but only if the pressure is below two bar.",
        "You may cancel the order at any time, unless it was sent already.",
        "Close the inlet of the tank after the pump has come to rest.",
        "Keep both hands on the wheel until the car stands still.",
        "Stop the second dose when the rash has spread to the face.",
        "Before you open the door of the kiln, let it cool to room temperature.",
        "Der Hahn bleibt den ganzen Tag offen, bis der Kessel leer ist.",
    ],
)
def test_what_holds_under_a_condition_is_not_parted_from_it(text):
    assert clauses(text) == [text]


def test_a_condition_parts_only_what_it_governs():
    text = "Once the kiln is cold, open it, but the glaze of the pots remains soft for hours, and dust sticks to it."
    assert clauses(text) == [
        "Once the kiln is cold, open it,",
        "but the glaze of the pots remains soft for hours,",
        "and dust sticks to it.",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "A full charge of the battery takes four and a half hours at room temperature.",
        "The warranty of the frame lasts five years and six months after the day of purchase.",
        "The trip takes two hours, thirty minutes and ten seconds on a good day in summer.",
        "Die Fahrt mit dem neuen Zug dauert zwei Stunden und dreißig Minuten bis nach Wien.",
        "Le trajet avec le nouveau train dure trois heures et demie jusqu'à la capitale.",
        "It weighs twenty-five pounds and six ounces in all when it is dry.",
    ],
)
def test_an_amount_in_two_parts_is_one(sentence):
    assert phrases(sentence, 0, len(sentence)) == [(0, len(sentence))]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("He sold the two shops in the town ", "and three people lost their jobs in the end."),
        ("She won the cup in 1998 ", "and two years later she left the club."),
        ("The company employs five engineers ", "and the owner wants to hire more of them."),
        ("The house has four rooms ", "and two of them look out over the garden."),
    ],
)
def test_two_amounts_of_different_things_are_two(first, second):
    assert phrases(first + second, 0, len(first + second)) == [
        (0, len(first.rstrip())),
        (len(first), len(first + second)),
    ]
