"""Checks the arguments of harmonica.search and harmonica.train before anything runs."""

import re
from collections.abc import Iterable, Mapping
from math import inf
from numbers import Integral, Real
from pathlib import Path

from harmonica.errors import BadInput, check

LEAST_CUR = 1  # percent; a smaller one is a share that was meant as a fraction
# arguments of a pipeline's call that a search or training sets itself
RESERVED = {
    "prompt": "prompts= gives the captions (--captions FILE on the command line)",
    "class_labels": "prompts= gives the classes",
    "num_inference_steps": "steps= says how many",
    "generator": "seed= decides the noise",
    "return_dict": "leave it out, only the latents are looked at",
    "num_images_per_prompt": "leave it out, every prompt gives one image",
    "num_videos_per_prompt": "leave it out, every prompt gives one video",
}
TEXTS = re.compile(r"negative_prompt|(negative_)?prompt_\d")  # further texts, one for each prompt


def whole(field, value, least, right="give a whole number"):
    """-> value as an int. BadInput where it is no whole number of at least `least`."""
    ok = isinstance(value, Integral) and not isinstance(value, bool) and value >= least
    check(ok, field, value, f"{right}, at least {least}")
    return int(value)


def check_steps(steps):
    """-> the number of steps as an int."""
    return whole("steps", steps, 2, "give one whole number (the first step computes all)")


def check_cur(cur):
    """BadInput where cur is no percentage that skips something."""
    ok = isinstance(cur, Real) and not isinstance(cur, bool)
    check(ok, "cur", cur, "give the share that is skipped, in percent: a number")
    right = "it is a percentage: 50 skips half"
    check(not 0 < cur < LEAST_CUR, "cur", cur, right)
    check(0 < cur < 100, "cur", cur, "give the share that is skipped: above 0, below 100 percent")


def curs_of(cur):
    """-> the shares to skip, in percent, rising: one, or each of several; and whether several were
    given. BadInput where one of them is no such share.
    """
    cur = _plain(cur)
    several = _is_several(cur)
    curs = list(cur) if several else [cur]
    check(len(curs) > 0, "cur", cur, "give the share that is skipped, in percent")
    for one in curs:
        check_cur(one)
    plain = (int(one) if one == int(one) else float(one) for one in curs)
    return sorted(set(plain)), several


def check_guidance(guidance):
    ok = isinstance(guidance, Real) and not isinstance(guidance, bool)
    right = "give the scale as a number of at least 0, or None for the pipeline's own"
    check(guidance is None or ok and 0 <= guidance < inf, "guidance", guidance, right)


def folder_of(out):
    """-> the Path of the folder that `out` names, None for None. BadInput where it is a file."""
    if out is None:
        return None
    check(isinstance(out, (str, Path)) and str(out), "out", out, "give the path of a folder")
    path = Path(out).expanduser()
    check(path.is_dir() or not path.exists(), "out", str(out), "it is a file; give a folder")
    return path


def check_own_call(call, prompts, arguments):
    """BadInput where call is no function, or where something is given that only it could use."""
    check(callable(call), "call", call, "give a function call(pipe, seed, count) -> latents")
    for name in (["prompts"] if prompts is not None else []) + list(arguments):
        right = "the function given as call= decides it; say it there"
        check(False, "argument", name, right)


def prompts_of(prompts, name):
    """-> the list of prompts, or of classes. name: the argument of the pipeline that takes them."""
    prompts = [prompts] if isinstance(prompts, str) else _plain(prompts)
    labels = name == "class_labels"
    kind, words = (Integral, "class labels") if labels else (str, "captions")
    right = f"give a list of {words}"
    check(_is_several(prompts), "prompts", prompts, right)
    prompts = list(prompts)
    for prompt in prompts:
        check(isinstance(prompt, kind), "prompts", prompt, right)
    check(len(prompts) > 0, "prompts", prompts, "give at least one")
    return [int(label) for label in prompts] if labels else prompts


def _plain(values):
    """An array or tensor as a list or number, anything else as it is."""
    return values.tolist() if hasattr(values, "tolist") else values


def _is_several(values):
    """Whether these are values to go through, and no text or mapping."""
    return isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping))


def passed_on(kind, parameters, arguments):
    """-> the arguments for the call of a pipeline class `kind`: a further text that is None is left
    out. BadInput for those that the call does not take, or that are not for the user to give.
    """
    for name in arguments:
        check(name not in RESERVED, "argument", name, RESERVED.get(name))
        if _is_embedded(name):
            raise BadInput(
                f"argument: {name} is not possible, as it belongs to one prompt; give call=, a "
                "function call(pipe, seed, count) that passes embeddings"
            )
        free = [each for each in parameters if not (each in RESERVED or _is_embedded(each))]
        check(name in parameters, "argument", name, f"{kind.__name__} takes {', '.join(free)}")
    return {
        name: value
        for name, value in arguments.items()
        if not (value is None and TEXTS.fullmatch(name))
    }


def _is_embedded(name):
    return "prompt" in name and ("embeds" in name or "mask" in name)


def texts_of(arguments, count):
    """-> {name: list of texts} of the further texts in `arguments`, as negative_prompt; a list has
    one for all prompts, or one for each of the `count`.
    """
    texts = {}
    for name, value in arguments.items():
        if not TEXTS.fullmatch(name):
            continue
        listed = [value] if isinstance(value, str) else value
        ok = isinstance(listed, (list, tuple)) and all(isinstance(one, str) for one in listed)
        right = f"give a text, or a list of one for each of the {count} prompts"
        check(ok and len(listed) in (1, count), name, value, right)
        texts[name] = list(listed)
    return texts
