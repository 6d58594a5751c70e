# ruff: noqa: RUF001 (the typographic apostrophe is meant)
"""No phrase begins behind a negation that governs it."""

import pytest

from fgr_retriever.text.sentences import phrases

INSERTED = (
    "even if accompanied by a guide",
    "which is updated yearly",
    "as some dealers claim",
    "in contrast to employees",
    "however large the order is",
    "whatever the reason given",
    "because of the risk to all",
    "the rules of the house say",
    "and they know it well",
)
DENIED = (
    ("No visitor", "may enter the engine room between 22:00 and 05:00."),
    ("Nobody in the crew", "gets a discount of 9 % on winches."),
    ("Under no circumstances", "will the company reimburse parking fines."),
    ("Never", "reboot the gateway between 06:00 and 18:00."),
    ("None of the goods", "can be returned within 14 days of delivery."),
    ("The warranty does not", "cover castings for five years."),
    ("Contractors don’t", "receive 26 weeks of leave at full pay."),
    ("It is not the case", "that a manager may sign contracts alone."),
    ("We do not accept that", "the ropes can be returned within 14 days."),
    ("The company will in no case", "pay for alcohol above EUR 20."),
    ("Without a yellow badge", "visitors may not enter the hall."),
)


def clauses(text: str) -> list[str]:
    return [text[start:end] for start, end in phrases(text, 0, len(text))]


@pytest.mark.parametrize("inserted", INSERTED)
@pytest.mark.parametrize(("denied", "said"), DENIED)
def test_an_insertion_parts_no_negation_from_what_it_governs(denied, said, inserted):
    for opening, closing in ((", ", ", "), (" – ", " – "), (" (", ") ")):
        text = f"{denied}{opening}{inserted}{closing}{said}"
        assert clauses(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "The company does not reimburse private costs, including alcohol above EUR 20, tobacco and parking fines.",
        "Employees may not: (a) smoke in the yard; (b) drink alcohol; (c) sleep at work.",
        "No visitor who is unknown to us or external contractor may enter the engine room.",
        "It is not true that visitors or external contractors may enter the engine room.",
        "Nothing in this contract, and this holds for all annexes, may be read as a waiver.",
        "Kein Besucher, auch nicht in Begleitung, darf den Maschinenraum zwischen 22 und 5 Uhr betreten.",
        "Keine Ware auf dieser Liste, die jährlich erneuert wird, kann binnen 14 Tagen zurückgegeben werden.",
        "Unter keinen Umständen, egal aus welchem Grund, erstattet die Firma Parkgebühren über 20 Euro.",
        "Die Firma erstattet Parkgebühren, egal aus welchem Grund, nicht.",
        "La garantie ne couvre pas, contrairement à ce que disent certains, les pièces en fonte pendant cinq ans.",
        "En ningún caso, sea cual sea la razón, la empresa reembolsará las multas de aparcamiento.",
        "Nessun visitatore, anche se accompagnato, può entrare nella sala macchine.",
        "Nenhum visitante, mesmo acompanhado, pode entrar na sala das máquinas.",
        "Geen bezoeker, ook niet onder begeleiding, mag de machinekamer betreden.",
    ],
)
def test_what_may_go_on_behind_a_negation_is_not_cut(text):
    assert clauses(text) == [text]


@pytest.mark.parametrize(
    "expected",
    [
        ["Nobody may smoke in the old building,", "and the guard will ask you to leave."],
        ["The gate is not locked;", "the guard is asleep in his room."],
        ["She never won a medal,", "but she taught many young swimmers who did."],
        ["There is no charge for children,", "and adults are charged five pounds each."],
        ["He did not go to school,", "because his parents were poor."],
        ["The lid,", "which is not sealed,", "must be greased daily in the winter."],
        ["In Paris,", "where nobody had looked for such things,", "Marie Curie found radium."],
        ["Although it was not his fault,", "the company fired him in 1950."],
        ["Breakfast is free,", "the sauna is not."],
        ["The fee", "(not including the local tax of the town)", "is EUR 20,", "payable in advance."],
        ["No later than 30 days after delivery,", "the buyer shall notify the seller,", "in writing."],
        ["Not only visitors,", "as is known,", "but also members of staff,", "must wear a helmet."],
        ["He told her that he could not come to the party", "and that he was ill at home."],
        ["Die Sauna ist nicht frei,", "aber das Frühstück ist im Preis enthalten."],
    ],
)
def test_a_statement_of_its_own_may_begin_behind_a_negation(expected):
    assert clauses(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "tail",
    [
        *("except where a court ordered the disclosure", "save where a court ordered the disclosure"),
        *("other than where a court ordered it", "but not where a court ordered it", "even where no damage was caused"),
        *("except in cases where a court ordered it", "except for disclosure which a court ordered"),
        *(
            "es sei denn ein Gericht hat es angeordnet",
            "sauf si un tribunal l'a ordonné",
            "salvo que un juez lo ordene",
        ),
    ],
)
def test_an_exception_is_not_cut(tail):
    text = f"For each breach the party in breach pays EUR 75,000, {tail}."
    assert clauses(text) == [text]
