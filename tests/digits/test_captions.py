"""Captions: short, balanced, each once in 200, and what PixArt's pipelines leave as they are."""

from harmonica.digits.data import EMPTY, NUM_CAPTIONS, TEMPLATES, WORDS, caption
from harmonica.digits.pixart_folder import MOST_BYTES, tokenize


def test_a_caption_is_a_function_of_k_and_classes_take_turns():
    assert [caption(k) for k in (3, 13, 203)] == [
        "a handwritten three",
        "the digit 3",
        "a handwritten three",
    ]
    own = [caption(k) for k in range(NUM_CAPTIONS)]
    assert len(set(own)) == NUM_CAPTIONS == 200 and EMPTY not in own
    for k, text in enumerate(own):
        assert (WORDS[k % 10] in text.replace("someone", "").split()) != (str(k % 10) in text), text


def test_pipelines_leave_them_as_they_are():
    assert all(
        text == text.lower().strip() and text.isascii()
        for text in map(caption, range(NUM_CAPTIONS))
    )
    assert len(set(TEMPLATES)) == 20 and all(
        ("{word}" in t) != ("{figure}" in t) for t in TEMPLATES
    )


def test_tokens_are_bytes_an_end_mark_and_masked_padding():
    ids, mask = tokenize(["a 3", ""])
    assert ids.shape == mask.shape == (2, MOST_BYTES) and mask.sum(1).tolist() == [4, 1]
    assert ids[0, :4].tolist() == [ord(c) + 3 for c in "a 3"] + [1] and ids[1, 0] == 1
    ids, mask = tokenize([caption(k) for k in range(NUM_CAPTIONS)])
    assert (ids[mask == 0] == 0).all() and (
        ids.gather(1, mask.sum(1, keepdim=True) - 1) == 1
    ).all()  # nothing was cut
