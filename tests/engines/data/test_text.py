"""Reading texts for training."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest

from engines.data.text import MAX_BYTES, REVIEWS_HELD_OUT, REVIEWS_TRAIN, clean_text, decode_utf8, split_texts
from engines.language_model.config import LanguageTrainingConfig, SamplingConfig, WritingConfig
from tests.engines.data.test_archives import encrypted
from tests.engines.helpers import refusal

LONG = "Once more into the dream, once more. " * 100


def lines(*texts: str) -> bytes:
    return "".join(json.dumps({"text": text, "label": 1}) + "\n" for text in texts).encode()


def zip_file(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("\ufeffa text", "a text"),
        ("old Mac\rWindows\r\nUnix\n\r\r\n", "old Mac\nWindows\nUnix\n\n\n"),
        ("half \ud83d of a pair, and \ud83d\ude00 both", "half \ufffd of a pair, and 😀 both"),
        ("n\0ull", "null"),
        ("as it is: é 한 \ufffd\n", "as it is: é 한 \ufffd\n"),
    ],
)
def test_a_text_is_read_the_same_wherever_it_comes_from(text, read):
    assert clean_text(text) == read
    assert WritingConfig(prompt=text, stop=(text,)).prompt == read
    assert SamplingConfig(stop=(text,)).stop == (read,)
    assert LanguageTrainingConfig(prompt=text).prompt == read


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("last", range(4))
def test_a_character_that_is_cut_in_two_is_left_out(first, last):
    content = "😀 dream 😀".encode()
    read = decode_utf8(content[first : len(content) - last], "cut.txt")
    assert read == ("😀" if not first else "") + " dream " + ("😀" if not last else "")


def test_texts_in_json_are_read_as_texts_are(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = json.dumps({"text": "\ufeffone\r\nhalf \ud83d " * 150}) + "\r" + json.dumps({"text": "two " * 100})
    path.write_bytes(b"\xef\xbb\xbf" + rows.encode())
    texts = split_texts(path)
    assert texts.train[0].startswith("one\nhalf \ufffd ")
    assert texts.held_out[-1].endswith("two")


def test_the_last_tenth_of_a_file_is_held_out_and_cut_between_words(tmp_path):
    path = tmp_path / "dream.txt"
    path.write_text(LONG, encoding="utf-8")
    texts = split_texts(path)
    train, held_out = "".join(texts.train), "".join(texts.held_out)
    assert (train + held_out).split() == LONG.split()
    assert 0.08 < len(held_out) / len(LONG) < 0.12
    assert held_out[0] == " "


def test_a_folder_is_read_in_the_order_of_its_names_with_all_kinds_of_files(tmp_path):
    (tmp_path / "b.txt").write_text("Second. " * 200)
    (tmp_path / "a.md").write_bytes("\ufeffFirst\r\nline. ".encode() * 200)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.jsonl.gz").write_bytes(gzip.compress(lines("Third<br />line. " * 100, "", "Fourth. " * 100)))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    texts = split_texts(tmp_path)
    first, second, third, *_ = texts.train
    assert first.startswith("First\nline.")
    assert second.startswith("Second.")
    assert third.startswith("Third\nline.")
    assert "Fourth." in "".join(texts.held_out)


def test_a_zip_is_read_as_a_folder_is(tmp_path):
    path = tmp_path / "texts.zip"
    path.write_bytes(
        zip_file(
            ("b/second.txt", b"Second. " * 200),
            ("a.txt", b"First. " * 200),
            ("c.jsonl.gz", gzip.compress(lines("Third. " * 200))),
            ("d.png", b"picture"),
        )
    )
    texts = split_texts(path)
    assert [text[:5] for text in texts.train] == ["First", "Secon", "Third"]
    assert texts.held_out[0].strip().startswith("Third")


def test_what_lies_aside_is_passed_over_and_a_broken_file_among_others_is_left_out_and_named(tmp_path):
    files = {
        "a.txt": b"First. " * 400,
        "c/d.jsonl": b"no JSON",
        "c/e.txt": b"Second. " * 400,
        "c/._e.txt": b"\0\5\x16\7",
        "__MACOSX/c/._e.txt": b"\0\5\x16\7",
    }
    path = tmp_path / "texts.zip"
    path.write_bytes(zip_file(*files.items()))
    for name, content in files.items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for data in (path, tmp_path / "folder"):
        texts = split_texts(data)
        assert [text[:6] for text in texts.train] == ["First.", "Second"]
        (sentence,) = texts.left_out
        assert sentence.startswith("c/d.jsonl was skipped: ")


def test_a_zip_with_a_password_is_refused_as_one(tmp_path):
    path = tmp_path / "texts.zip"
    path.write_bytes(zip_file(("a.txt", b"word " * 1000)))
    assert refusal(ValueError, split_texts, encrypted(path, "a.txt")).startswith("texts.zip is password-protected")


def test_the_reviews_have_a_held_out_part_of_their_own_of_which_nothing_is_trained_on(tmp_path):
    for name, content in zip(
        (*REVIEWS_TRAIN, REVIEWS_HELD_OUT),
        (lines("one", "two"), lines("three", "four"), lines("four", "five", "one")),
        strict=True,
    ):
        (tmp_path / name).write_bytes(gzip.compress(content))
    texts = split_texts(tmp_path)
    assert texts.train == ("two", "three")
    assert texts.held_out == ("four", "five", "one")


def test_reviews_without_texts_are_refused_with_one_sentence(tmp_path):
    for name in (*REVIEWS_TRAIN, REVIEWS_HELD_OUT):
        (tmp_path / name).write_bytes(gzip.compress(lines("")))
    assert "contain no text" in refusal(ValueError, split_texts, tmp_path)


def test_null_bytes_are_left_out(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\0b " * 2000)
    assert "".join(split_texts(path).train).startswith("ab ab")


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("ten.txt", b"only ten words are in here and that is few", "at least 2,000"),
        ("empty.txt", b"", "at least 2,000"),
        ("latin.txt", "café ".encode("latin-1") * 1000, "UTF-8"),
        ("utf16.txt", ("word " * 1000).encode("utf-16"), "UTF-8"),
        ("cut.jsonl.gz", gzip.compress(lines("word " * 2000))[:60], "damaged"),
        ("not.jsonl.gz", b"no gzip at all", "damaged"),
        ("rows.jsonl", b'{"text": "fine"}\n[1]\n', "Line 2"),
        ("rows.jsonl", b'{"title": "fine"}\n', "Line 1"),
        ("rows.jsonl", b'{"text": 3}\n', "line 1"),
        ("deep.jsonl", b"[" * 100_000, "Line 1"),
        ("empty.zip", zip_file(("picture.png", b"")), "no text files"),
        ("cut.zip", zip_file(("a.txt", b"word " * 1000))[:50], "damaged"),
        ("hidden.zip", zip_file(("__MACOSX/a.txt", b"word " * 1000), ("._b.txt", b"word " * 1000)), "no text files"),
        ("latin.zip", zip_file(("a.txt", "café ".encode("latin-1") * 1000)), "UTF-8"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_one_sentence(tmp_path, name, content, part):
    path = tmp_path / name
    path.write_bytes(content)
    assert part in refusal(ValueError, split_texts, path)


@pytest.mark.parametrize(
    ("name", "packed"), [("bomb.zip", zip_file), ("bomb.txt.gz", lambda entry: gzip.compress(entry[1], 1))]
)
def test_little_that_unpacks_to_too_much_is_refused_with_one_sentence(tmp_path, name, packed):
    path = tmp_path / name
    path.write_bytes(packed(("a.txt", b"0" * (MAX_BYTES + 1))))
    assert "more than 200 MB" in refusal(ValueError, split_texts, path)


def test_two_gigabytes_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    assert "more than 200 MB" in refusal(ValueError, split_texts, path)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in range(3):
        with (folder / f"{i}.txt").open("wb") as file:
            file.truncate(MAX_BYTES // 2)
    assert "more than 200 MB" in refusal(ValueError, split_texts, folder)


def test_nothing_there_is_said_so(tmp_path):
    assert "was not found" in refusal(ValueError, split_texts, tmp_path / "missing.txt")
    (tmp_path / "a.png").write_bytes(b"")
    assert "no text files" in refusal(ValueError, split_texts, tmp_path)
