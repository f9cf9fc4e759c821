"""A quadratic model of the image error as a function of the schedule, and its minimum. numpy only.

The model is linearised at some schedule (probe.py): every entry has some options, and the change of
the final image is the sum of what the chosen options add. Along a random direction of the image
each option adds one number:

    e(schedule) = r + sum over entries of Q[.., option that the schedule takes there]
    E(schedule) = mean over images and directions of e^2      estimates || x_0 - x_0* ||^2

Which option an entry has follows from its column of the schedule. Option 0: computed. Option a = 1
.. window: reuse (or predict from) the feature of a steps before. After these, where skipped entries
are predicted from two features, one option for every pair of ages a < b.
"""

import numpy as np

from harmonica.errors import check

MOST_SWAPS = 400  # of one descent, where nothing else is said
WIDEST = 512  # a swap across blocks tries this many skipped and as many computed entries, the best


def pairs(window):
    """The ages (a, b) of the two last computed features, in the order of their options."""
    return [(a, b) for b in range(2, window + 1) for a in range(1, b)]


def options(columns, window, paired):
    """columns (.., T) bool -> (.., T) int: the option of every entry; -1 where the last computed
    feature is older than the window.

    Where only the second feature is, the entry counts as predicted from one.
    """
    steps = np.arange(columns.shape[-1])
    last = np.maximum.accumulate(np.where(columns, steps, 0), axis=-1)
    age = steps - last
    option = np.where(age > window, -1, age)
    if not paired:
        return option
    previous = np.take_along_axis(last, np.maximum(last - 1, 0), axis=-1)
    second = steps - previous
    has_pair = (age >= 1) & (last >= 1) & (second <= window)
    pair = window + 1 + (second - 1) * (second - 2) // 2 + age - 1
    return np.where(has_pair, pair, option)


def sparsest(num_steps, window, fixed):
    """The column (T,) with the fewest computed entries, evenly spaced between the fixed steps, in
    which no feature gets older than the window. fixed: sorted.
    """
    column = np.zeros(num_steps, bool)
    for since, until in zip(fixed, [*fixed[1:], num_steps]):
        parts = (until - since - 1) // (window + 1) + 1
        column[since + np.arange(parts) * (until - since) // parts] = True
    return column


class Quadratic:
    """The model E. r (S,) and Q (S, T, options, N), where S = images x directions. fixed: steps
    that compute everything.
    """

    def __init__(self, r, Q, window, fixed=(0,)):
        self.fixed = sorted(fixed)
        self.r = np.asarray(r, np.float64)
        self.by_column = np.ascontiguousarray(np.transpose(Q, (3, 1, 2, 0)))  # (N, T, options, S)
        self.window, self.paired = window, Q.shape[2] > window + 1

    def sums(self, columns, i):
        """For each of these columns (M, T) of block i: what the block adds to r, (M, S), and
        whether the column is possible, (M,).
        """
        option = options(columns, self.window, self.paired)
        steps = np.arange(columns.shape[1])
        added = self.by_column[i][steps, option].sum(1, dtype=np.float64)
        return added, (option >= 0).all(1)

    def error(self, keep):
        """E of a schedule (T, N)."""
        e = self.r + sum(self.sums(keep[None, :, i], i)[0][0] for i in range(keep.shape[1]))
        return float(np.mean(e**2))


def descend(quadratic, keep, target, costs=None, swaps=MOST_SWAPS):
    """Skip entries of `keep` (T, N) greedily until the budget is reached, then make the best swap
    again and again, at most `swaps` times -> [the greedy schedule, then the one after each swap].

    target: the total cost that skipped entries must save. costs (N,): integer cost of an entry of
    each block; by default 1, so exactly `target` entries are skipped.
    """
    costs = np.ones(keep.shape[1], np.int64) if costs is None else np.asarray(costs, np.int64)
    max_saving = int(costs.sum() * (len(keep) - len(quadratic.fixed)))
    check(0 <= target <= max_saving, "target", target, f"skipped entries can save 0..{max_saving}")
    state = Descent(quadratic, keep, costs)
    while state.saved < target:
        if not state.flip_best(skip=True):
            state.thin_best()
    state.fill(target)
    path = [state.keep.copy()]
    while len(path) <= swaps and state.swap_best(target):
        state.fill(target)
        path.append(state.keep.copy())
    return path


class Descent:
    """A schedule, with what every single flip, and every swap within a column, would add to e.

    The changes of different columns add up. So after a flip only the values of its own column have
    to be computed again (`look`).
    """

    def __init__(self, quadratic, keep, costs):
        self.quadratic, self.keep, self.costs = quadratic, keep.copy(), costs
        (T, N), S = keep.shape, len(quadratic.r)
        self.sums = np.zeros((N, S))
        self.change, self.allowed = np.zeros((N, T, S)), np.zeros((N, T), bool)
        self.moves = [None] * N
        for i in range(N):
            self.look(i)

    def look(self, i):
        """Compute the values of column i again."""
        column = self.keep[:, i]
        T = len(self.keep)
        flipped = column ^ np.eye(T, dtype=bool)
        added, possible = self.quadratic.sums(np.concatenate([column[None], flipped]), i)
        check(possible[0], "window", self.quadratic.window, "an entry reuses an older feature")
        self.sums[i] = added[0]
        self.change[i], self.allowed[i] = added[1:] - added[0], possible[1:]
        self.allowed[i, self.quadratic.fixed] = False
        near = np.abs(np.subtract.outer(np.arange(T), np.arange(T))) <= self.quadratic.window
        off, on = np.nonzero(near & column[:, None] & ~column)
        free = ~np.isin(off, self.quadratic.fixed)
        off, on = off[free], on[free]
        moved = flipped[off] ^ flipped[on] ^ column
        added, possible = self.quadratic.sums(moved, i)
        self.moves[i] = off[possible], on[possible], added[possible] - self.sums[i]

    @property
    def e(self):
        return self.quadratic.r + self.sums.sum(0)

    @property
    def saved(self):
        return int((~self.keep * self.costs).sum())

    def flip(self, t, i):
        self.keep[t, i] = not self.keep[t, i]
        self.look(i)

    def flipped(self):
        """(N, T): the change of E by every single flip, inf where it is not possible."""
        return np.where(self.allowed, _change(self.change, self.e), np.inf)

    def flip_best(self, skip, allowed=True):
        """Make the flip that adds least to E per cost: skip a computed entry, or compute a skipped
        one (skip False) -> whether there is one. allowed: bool (N, T), restricts the choice.
        """
        change = self.flipped() / self.costs[:, None]
        change = np.where((self.keep.T == skip) & allowed, change, np.inf)
        i, t = np.unravel_index(change.argmin(), change.shape)
        if change[i, t] == np.inf:
            return False
        self.flip(t, i)
        return True

    def thin_best(self):
        """Where no computed entry can be skipped as it is: give one block another column with fewer
        computed entries, the one that adds least to E per cost.
        """
        best, e = (np.inf, None, None), self.e
        for i, cost in enumerate(self.costs):
            columns = self._thinner(i)
            added, possible = self.quadratic.sums(columns, i)
            fewer = self.keep[:, i].sum() - columns.sum(1)
            change = _change(added - self.sums[i], e)
            change = np.where(
                possible & (fewer > 0), change / (cost * np.maximum(fewer, 1)), np.inf
            )
            if change.min() < best[0]:
                best = change.min(), i, columns[change.argmin()]
        right = "no further entry can be skipped without features older than this"
        check(best[0] < np.inf, "window", self.quadratic.window, right)
        _, i, self.keep[:, i] = best
        self.look(i)

    def _thinner(self, i):
        """Columns for block i, (M, T): with two computed neighbours skipped and one entry between
        them computed; and the one with the fewest computed entries, evenly spaced.
        """
        fixed = self.quadratic.fixed
        columns = [sparsest(len(self.keep), self.quadratic.window, fixed)]
        (computed,) = self.keep[:, i].nonzero()
        for a, b in zip(computed, computed[1:]):
            if a not in fixed and b not in fixed:
                for between in range(a + 1, b):
                    column = self.keep[:, i].copy()
                    column[[a, b]], column[between] = False, True
                    columns.append(column)
        return np.array(columns)

    def fill(self, target):
        """Compute skipped entries again as long as `target` is still saved."""
        while True:
            fits = (~self.keep.T & self.allowed) & (self.saved - self.costs[:, None] >= target)
            if not fits.any():
                return
            self.flip_best(skip=False, allowed=fits)

    def swap_best(self, target):
        """Skip a computed entry and compute a skipped one, the pair that lowers E most -> whether
        there is one that lowers E.
        """
        change, swap = min(self._best_across(target), self._best_within(), key=lambda best: best[0])
        if not change < -1e-6 * np.mean(self.e**2):
            return False
        for t, i in swap:
            self.keep[t, i] = not self.keep[t, i]
        for i in {i for _, i in swap}:
            self.look(i)
        return True

    def _best_across(self, target):
        """-> change of E, ((step, block) to skip, the one to compute): best swap of two blocks."""
        N, T = self.allowed.shape
        change = self.flipped().ravel()
        keep = self.keep.T.ravel()
        off, on = (_lowest(np.where(keep == skip, change, np.inf)) for skip in (True, False))
        if not (len(off) and len(on)):
            return np.inf, None
        flips = self.change.reshape(N * T, -1)
        pair = change[off][:, None] + change[on] + 2 * (flips[off] @ flips[on].T) / len(self.e)
        saved = self.saved + self.costs[off // T][:, None] - self.costs[on // T]
        pair[(saved < target) | (off[:, None] // T == on // T)] = np.inf
        a, b = np.unravel_index(pair.argmin(), pair.shape)
        (i, t), (j, u) = divmod(int(off[a]), T), divmod(int(on[b]), T)
        return pair[a, b], ((t, i), (u, j))

    def _best_within(self):
        """The best swap within one block, as above. Its two flips do not add up, so `look` has
        evaluated the whole column of each swap.
        """
        best = np.inf, None
        e = self.e
        for i, (off, on, moved) in enumerate(self.moves):
            if not len(off):
                continue
            change = _change(moved, e)
            k = change.argmin()
            if change[k] < best[0]:
                best = change[k], ((int(off[k]), i), (int(on[k]), i))
        return best


def _change(added, e):
    """What E changes by where e (S,) becomes e + added, for each of added (.., S) -> (..)."""
    return (2 * added @ e + np.square(added).sum(-1)) / len(e)


def _lowest(change):
    """The indices of the WIDEST lowest entries, without infinite ones."""
    order = np.argsort(change, kind="stable")[:WIDEST]
    return order[np.isfinite(change[order])]
