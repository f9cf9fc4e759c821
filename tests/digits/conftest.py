"""A training that is killed and goes on."""

import pytest

from harmonica.digits import base


@pytest.fixture
def resumed(tmp_path, monkeypatch):
    """-> a function of a train(config, state, save_every) and a config: what that gives where it is
    killed at step 4 and goes on from step 3. drawing: whose `draw` gives its batches.
    """

    def run(train, config, drawing=base):
        draw, state = drawing.draw, tmp_path / "state.safetensors"

        def killed_at_step_4(*arguments):
            if arguments[-1] == 4:
                raise KeyboardInterrupt
            return draw(*arguments)

        monkeypatch.setattr(drawing, "draw", killed_at_step_4)
        with pytest.raises(KeyboardInterrupt):
            train(config, state, save_every=3)
        monkeypatch.setattr(drawing, "draw", draw)
        return train(config, state, save_every=3)

    return run
