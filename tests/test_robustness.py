"""Texts as they come: titles, a chapter in one passage, code, tables, other scripts, and very many passages."""

import tracemalloc

import numpy as np
import psutil
import pytest
import regex
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from fgr_retriever import Encoder, Engine, IndexConfig, Passage, SearchConfig, TrimConfig, Trimmer
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.search.best_passages import best_passages
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.offsets import CompactOffsets
from fgr_retriever.index.storage.segments import Segment
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.index.storage.writing import SegmentsWriter
from fgr_retriever.model import windows as windows_module
from fgr_retriever.model.windows import Windows
from fgr_retriever.testing import WordEncoder, tiny_checkpoint

WORDS = TrimConfig(unit="token", merge_gap=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A real but tiny model that knows single characters."""
    return Encoder.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu", dtype=torch.float32)


def kept(text, spans):
    return [text[span.start : span.end] for span in spans]


class TestTitles:
    def test_a_title_alone_is_found_and_is_its_own_evidence(self, tmp_path):
        with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
            engine.add([Passage("title", "Radium"), Passage("other", "Cats sleep. They like radiators, too.")])
            hit = engine.search("radium", k=2)[0]
        assert (hit.passage.id, kept("Radium", hit.spans)) == ("title", ["Radium"])

    def test_a_title_line_stays_with_what_is_kept_of_its_text(self):
        text = "# Discoveries of 1898\n\nCats slept through it.\n\nMarie Curie found radium."
        (trimmed,) = Trimmer(WordEncoder(), TrimConfig(keep_title=True)).trim("radium", [text])
        assert trimmed.text.startswith("# Discoveries of 1898")
        assert "radium" in trimmed.text
        assert "Cats" not in trimmed.text


class TestChapters:
    @pytest.fixture(scope="class")
    def chapter(self):
        words = [f"word{place % 97}" for place in range(20_500)]
        words[20_000:20_000] = ["Curie", "found", "radium."]
        return "\n\n".join(" ".join(words[start : start + 120]) + "." for start in range(0, len(words), 120))

    def test_the_evidence_near_the_end_is_found_where_it_stands(self, chapter, tmp_path):
        with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
            engine.add([Passage("chapter", chapter), Passage("short", "word1 word2")])
            (hit,) = engine.search("radium", k=1, trim=WORDS)
            context = engine.retrieve(
                "radium", k=1, trim=TrimConfig(max_tokens=12), count_tokens=lambda t: len(t.split())
            )
        assert [(span.start, span.end) for span in hit.spans] == [(at := chapter.index("radium"), at + len("radium"))]
        assert "radium" in context.text
        assert len(context.text.split()) <= 12

    def test_a_real_tokenizer_keeps_offsets_over_thousands_of_windows(self, chapter, tiny):
        end = tokens = 0
        for block in tiny.encode_passages([chapter]):
            starts, ends = block.offsets[block.offsets[:, 1] > block.offsets[:, 0]].T
            assert (np.diff(starts) >= 0).all()
            assert not len(starts) or starts[0] >= end
            end, tokens = int(ends.max(initial=end)), tokens + len(starts)
        assert len(chapter) - 3 <= end <= len(chapter)
        # A token is one letter or digit here, and the skiplist has the full stops.
        assert tokens == sum(character.isalnum() for character in chapter)

    def test_windows_of_six_parts_take_no_more_memory_than_those_of_two(self, chapter, tiny, monkeypatch):
        # A piece is what is tokenized at once: a twentieth of it, and texts of a tenth, for tracing is slow.
        monkeypatch.setattr(windows_module, "_PIECE_CHARS", 5_000)
        part = chapter[:14_000]
        windows = Windows(tiny.model.tokenizer, "", 48)

        def peak(text):
            tracemalloc.start()
            count = sum(1 for _ in windows.of(text))
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return found, count

        (two, few), (six, many) = peak(part * 2), peak(part * 6)
        assert many > 2.9 * few > 600
        assert six < 1.2 * two


class TestCodeAndTables:
    CODE = "def parse_header(raw: bytes) -> dict:\n    size = len(raw)\n    return decode_utf8(raw[:size])\n"
    TABLE = "| element | year | finder |\n|---|---|---|\n| radium | 1898 | Curie |\n| helium | 1895 | Ramsay |\n"

    @pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
    def test_an_identifier_is_never_cut(self, unit):
        (trimmed,) = Trimmer(WordEncoder(), TrimConfig(unit=unit)).trim("raw decode_utf8", [self.CODE])
        assert trimmed.spans
        for span in trimmed.spans:
            for edge in (span.start, span.end):
                around = self.CODE[max(edge - 1, 0) : edge + 1]
                assert not regex.fullmatch(r"\w\w", around), f"cut inside a word at {edge}: {around!r}"
            assert self.CODE[span.start : span.end] in trimmed.text

    @pytest.mark.parametrize("unit", ["phrase", "sentence"])
    def test_a_row_of_a_table_stays_whole(self, unit):
        (trimmed,) = Trimmer(WordEncoder(), TrimConfig(unit=unit)).trim("radium 1898", [self.TABLE])
        assert "| radium | 1898 | Curie |" in trimmed.text
        assert "helium" not in trimmed.text


SCRIPTS = {
    "greek": "Η Μαρία Κιουρί ανακάλυψε το ράδιο. Οι γάτες κοιμούνται.",  # noqa: RUF001 - Greek
    "russian": "Мария Кюри открыла радий в 1898 году. Кошки спят.",
    "arabic": "اكتشفت ماري كوري الراديوم عام 1898. القطط تنام.",
    "hebrew": "מארי קירי גילתה את הרדיום. החתולים ישנים.",
    "hindi": "मैरी क्यूरी ने रेडियम की खोज की। बिल्लियाँ सोती हैं।",
    "thai": "มารี กูรี ค้นพบเรเดียม แมวนอนหลับ",
    "chinese": "居里夫人于1898年发现了镭。猫在睡觉。",
    "japanese": "マリー・キュリーはラジウムを発見した。猫は眠る。",
    "korean": "마리 퀴리는 라듐을 발견했다. 고양이는 잔다.",
    "emoji": "👩🏽‍🔬 found radium ☢️ in 🇫🇷. 🐈 sleeps.",
    "decomposed": "Cafe\u0301 noir et re\u0301sume\u0301. Un chat dort.",
}


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory):
    """A checkpoint as multilingual ones are: XLM-RoBERTa with a SentencePiece-like tokenizer, but tiny and random."""
    folder = tmp_path_factory.mktemp("multilingual")
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(SCRIPTS.values(), trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    names = {"bos": 0, "pad": 1, "eos": 2, "unk": 3, "mask": 4, "cls": 0, "sep": 2}
    tokens = {f"{name}_token": special[place] for name, place in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **tokens).save_pretrained(str(folder))
    config = XLMRobertaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=70,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(str(folder))
        dense = Dense(32, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
        parts = [Transformer(str(folder), document_length=48), dense, MultiVectorMask(skiplist_words=[".", "。"])]
        model = MultiVectorEncoder(modules=[*parts, Normalize(module_input_name="token_embeddings")], device="cpu")
        model.save_pretrained(str(folder), create_model_card=False)
    return Encoder.from_pretrained(folder, device="cpu", dtype=torch.float32)


class TestOtherScripts:
    @pytest.mark.parametrize("script", SCRIPTS)
    def test_tokens_stand_where_their_characters_do(self, multilingual, script):
        text = SCRIPTS[script]
        offsets = np.concatenate([block.offsets for block in multilingual.encode_passages([text])])
        visible = offsets[offsets[:, 1] > offsets[:, 0]]
        covered = {place for start, end in visible for place in range(start, end)}
        assert covered <= {place for place, character in enumerate(text) if not character.isspace()}
        assert len(covered) >= 0.8 * sum(character.isalnum() for character in text)

    @pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
    @pytest.mark.parametrize("script", SCRIPTS)
    def test_no_span_cuts_what_a_reader_sees_as_one_character(self, multilingual, script, unit):
        text = SCRIPTS[script]
        edges = {0} | {match.end() for match in regex.finditer(r"\X", text)}
        (trimmed,) = Trimmer(multilingual, TrimConfig(unit=unit, threshold=0.5)).trim(text[:12], [text])
        assert trimmed.spans
        assert {edge for span in trimmed.spans for edge in (span.start, span.end)} <= edges
        assert all(text[span.start : span.end] in trimmed.text for span in trimmed.spans)

    def test_each_text_finds_itself_among_the_others(self, multilingual, tmp_path):
        with Engine.open(tmp_path / "index", encoder=multilingual) as engine:
            engine.add(Passage(name, text) for name, text in SCRIPTS.items())
            found = {name: engine.search(text, k=1)[0].passage.id for name, text in SCRIPTS.items()}
        assert found == {name: name for name in SCRIPTS}


class TestAMillionPassages:
    """Simulated: random vectors of 8 dimensions, four tokens a passage, no texts; files, lists and search are real."""

    PASSAGES, LENGTH, DIM = 1_000_000, 4, 8

    @pytest.fixture(scope="class")
    def snapshot(self, tmp_path_factory):
        root = tmp_path_factory.mktemp("segments")
        generator = np.random.default_rng(0)

        def drawn(count):
            vectors = generator.standard_normal((count, self.DIM), dtype=np.float32)
            return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

        codec = Codec.train(drawn(20_000), nbits=2)
        offsets = CompactOffsets(
            np.ones(50_000 * self.LENGTH, np.int8), np.ones(50_000 * self.LENGTH, np.uint8), np.zeros((0, 3), np.int32)
        )
        with SegmentsWriter(root, 50_000 * self.LENGTH, codec) as writer:
            for _ in range(self.PASSAGES // 50_000):
                codes, residuals = codec.encode(drawn(50_000 * self.LENGTH))
                writer.write([codes.numpy(), residuals.numpy()], offsets)
                writer.end_passages(np.full(50_000, self.LENGTH))
            infos = writer.finish()
        segments = tuple(Segment(root, info, self.DIM, codec) for info in infos)
        alive = np.ones(self.PASSAGES, bool)
        manifest = Manifest("none", self.DIM, IndexConfig())
        return Snapshot(0, segments, np.arange(self.PASSAGES), alive, codec, None, manifest)

    def test_a_search_takes_little_memory_and_finds_what_is_there(self, snapshot):
        wanted = 777_777
        query = snapshot.reader.decode(snapshot.reader.tokens_of(np.array([wanted])))
        before = psutil.Process().memory_info().rss
        ((positions, scores),) = best_passages(snapshot, [query], 10, snapshot.alive, SearchConfig())
        grown = psutil.Process().memory_info().rss - before
        assert positions[0] == wanted
        assert scores[0] == pytest.approx(float((query * query).sum()), abs=0.05)
        assert len(positions) == 10
        # The files, mapped, are 27 MB; the float16 vectors of all tokens would be 64 MB and their scores as many.
        assert grown < 100e6

    def test_an_exact_search_of_all_holds_a_chunk_at_a_time(self, snapshot):
        query = snapshot.reader.decode(snapshot.reader.tokens_of(np.array([42])))
        before = psutil.Process().memory_info().rss
        ((positions, _),) = best_passages(snapshot, [query], 10, snapshot.alive, SearchConfig(exact=True))
        assert positions[0] == 42
        assert psutil.Process().memory_info().rss - before < 150e6
