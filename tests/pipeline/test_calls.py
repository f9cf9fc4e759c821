"""A call is recognised by the content of its arguments, in whatever process, and embedded prompts
are remembered by it.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import flux, sd3

from harmonica.errors import BadInput
from harmonica.method.schedule import FILE
from harmonica.pipeline.about import agreed
from harmonica.pipeline.calls import Call
from harmonica.pipeline.walk import Remembered

LARGE = 2000  # entries; their repr is shortened


def array(changed=False, dtype=np.uint8):
    numbers = np.zeros((LARGE, 3, 1), dtype)
    numbers[LARGE // 2] = changed
    return numbers


def image(changed=False):
    return Image.fromarray(array(changed).transpose(2, 0, 1))


def palette(changed=False):
    """An image whose pixels stay the same while its colours change."""
    made = Image.new("P", (2, 2))
    made.putpalette([7 + changed, 7, 7])
    return made


def tensor(changed=False):
    return torch.from_numpy(array(changed)).to(torch.bfloat16)


def several(changed=False):
    return [image(), image(changed)]


every_kind = pytest.mark.parametrize("made", [array, image, palette, tensor, several])


@every_kind
def test_a_search_with_an_image_is_known_again_and_told_from_one_with_another(made, tmp_path):
    pipe, _ = sd3("StableDiffusion3Img2ImgPipeline")

    def about(changed):
        call = Call(pipe, ["a fox"], 4, None, {"image": made(changed)})
        return {"search": {"prompts": call.described()}}

    first, again = about(False), about(False)  # two objects, as in two processes
    path = tmp_path / "search.json"
    assert not agreed(first, path, "search", FILE)
    assert agreed(again, path, "search", FILE)
    with pytest.raises(BadInput, match="a schedule with another prompts; choose another folder"):
        agreed(about(True), path, "search", FILE)


def test_a_folder_that_does_not_say_what_its_schedule_is_for_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"whatever")
    words = f"it holds {FILE} without search.json, which says what that is for; choose another"
    with pytest.raises(BadInput, match=words):
        agreed({"search": {}}, tmp_path / "search.json", "search", FILE)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_callback_is_known_again_in_another_process():
    pipe, _ = sd3()

    def described():
        class Callback:
            def __call__(self, pipe, step, timestep, tensors):
                return tensors

        kept.append({"callback_on_step_end": [Callback(), lambda *args: {}]})
        return Call(pipe, ["a fox"], 4, None, kept[-1]).described()

    kept = []  # so that the second objects do not get the places in memory of the first
    assert described() == described()


def test_the_type_and_the_shape_of_numbers_count():
    def described(value):
        return Call(flux()[0], ["a fox"], 4, None, {"latents": value}).described()

    zeros = torch.zeros(4, 6)
    values = (zeros, zeros.view(6, 4), zeros.int(), zeros.numpy(), torch.tensor(0.0))
    assert len({described(value) for value in values}) == len(values)
    assert described(torch.ones(4, 6).T) == described(torch.ones(6, 4))


def test_plain_prompts_keep_the_hash_that_earlier_searches_have_written():
    call = Call(flux()[0], ["a fox", "fog"], 4, 3.0, {"height": 16, "width": 8})
    assert call.described() == "2 prompt, sha256 4d70fb6d4828 with the arguments"


@pytest.mark.parametrize("made", [array, image, several])
def test_prompts_are_embedded_again_only_for_another_image(made):
    encoded = []
    embed = Remembered(lambda prompt, images=None: encoded.append(images) or len(encoded))
    assert embed("a fox", images=made()) == embed("a fox", images=made()) == 1
    assert embed("a fox", images=made(True)) == 2 == len(encoded)
    assert embed("a fox") == embed("a fox") == 3 and embed("fog") == 4
