"""The cache's share of memory is counted on tensors without numbers."""

from harmonica.bench import cache_memory, cases

DEPTH, WIDTH, TOKENS = 3, 96, 256


def test_the_count_of_a_small_shape_is_its_features():
    shapes = {"small": lambda: cases.dit(WIDTH, depth=DEPTH, heads=4)}
    rows = {
        (row["batch"], row["schedule"]): row for row, _ in cache_memory.rows(None, shapes=shapes)
    }
    assert len(rows) == 4
    for (batch, _), row in rows.items():
        feature = 2 * batch * TOKENS * WIDTH * 2  # guidance doubles the batch; bfloat16
        cached = row["bytes"] - row["reference_bytes"]
        assert 0 < cached <= 2 * DEPTH * feature
        assert row["cache_share"] == cached / row["bytes"]
    share = rows[1, "FORA 2"]["cache_share"]
    assert share < rows[8, "FORA 2"]["cache_share"]  # weights weigh less beside more images
