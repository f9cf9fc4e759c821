"""Heat maps: of any router, whatever its size, the same bytes each time."""

from types import SimpleNamespace

import numpy as np
import pytest

from harmonica import plot


def router(num_steps, num_blocks, **about):
    scores = np.linspace(0, 1, num_steps * num_blocks).reshape(num_steps, num_blocks)
    return SimpleNamespace(
        scores=scores,
        tau=0.1,
        about=about,
        keep=lambda cur=None: scores > (0.1 if cur is None else 0.5),
    )


@pytest.mark.parametrize(
    "num_steps, num_blocks, kinds",
    [(4, 4, ("attn", "mlp")), (3, 5, ("block",)), (1, 2, ("attn", "mlp"))],
)
def test_every_shape_is_drawn(tmp_path, num_steps, num_blocks, kinds):
    own = router(num_steps, num_blocks)
    assert plot.kinds_of(own) == kinds
    plot.heat_map(own, tmp_path / "a.png")
    plot.heat_map(own, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_path_that_ends_so_is_written_as_pdf(tmp_path):
    for folder in ("a", "b"):
        plot.heat_map(router(4, 4), tmp_path / folder / "map.pdf")
    first, again = ((tmp_path / folder / "map.pdf").read_bytes() for folder in ("a", "b"))
    assert first == again and first.startswith(b"%PDF") and b"CreationDate" not in first


def test_a_router_may_name_its_own_kinds():
    assert plot.kinds_of(router(4, 6, kinds=["self", "cross", "mlp"])) == ("self", "cross", "mlp")


def test_a_router_trained_for_a_cur_shows_the_schedule_of_that_cur(tmp_path):
    plot.heat_map(router(4, 4), tmp_path / "natural.png")
    plot.heat_map(router(4, 4, training={"cur_percent": 50}), tmp_path / "exact.png")
    assert (tmp_path / "natural.png").read_bytes() != (tmp_path / "exact.png").read_bytes()


def test_the_users_own_matplotlib_settings_change_nothing(tmp_path):
    import matplotlib

    plot.heat_map(router(4, 4), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 20}):
        plot.heat_map(router(4, 4), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
