"""What metrics measure with is the published thing, or refused by name."""

import pytest

from harmonica.errors import BadInput
from harmonica.weights import catalogue, extractors


def test_inception_refuses_another_file(random_weights):
    with pytest.raises(BadInput, match="6726825d"):
        extractors.inception(random_weights)


def test_inception_names_a_missing_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMONICA_WEIGHTS", str(tmp_path))
    with pytest.raises(BadInput) as error:
        extractors.inception()
    for part in (catalogue.INCEPTION, "v0.2.0", str(tmp_path)):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_clean_fids_inception_is_compared_before_it_is_opened(tmp_path):
    """The file is code: another one is not run."""
    none, reason = extractors.clean_inception(tmp_path)
    assert none is None and catalogue.CLEAN_INCEPTION in reason and "NVIDIA" in reason
    (tmp_path / catalogue.CLEAN_INCEPTION).write_text("another")
    with pytest.raises(BadInput, match="sha256"):
        extractors.clean_inception(tmp_path)
