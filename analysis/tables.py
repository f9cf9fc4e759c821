"""Which tables of the paper there are: their experiments, and what is compared in each."""
from dataclasses import dataclass
from importlib import import_module

from .compare import FEWER


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table. plain_wins: the title over where a plain baseline wins. comparisons: (method, title) of what HarmoniCa is
    compared with. published: the paper's own in results/paper. about: what a reader must know of this table alone.
    """
    name: str
    title: str
    experiments: tuple[str, ...]
    plain_wins: str
    comparisons: tuple[tuple[str, str], ...]
    published: str
    about: str = ""

    def rows(self, scale, which="core", num_seeds=1):
        """[experiments.Row] of all blocks of the table."""
        return [row for name in self.experiments
                for row in import_module(f"experiments.{name}.config").table(scale, which, num_seeds)]


TABLE1 = Table(
    name="table1", title="Table 1", experiments=("dit_xl2_256", "dit_xl2_512"), published="table1_class_conditional",
    plain_wins="FORA, fewer steps or a random schedule ahead of a learned router",
    comparisons=(("Learning-to-Cache", "HarmoniCa over Learning-to-Cache at equal CUR"),
                 ("FORA", "HarmoniCa over FORA at CUR 50 %, where FORA is also Learning-to-Cache's released form"),
                 (FEWER, "HarmoniCa over fewer steps at equal compute")))
TABLE2 = Table(
    name="table2", title="Table 2", experiments=("pixart_alpha", "pixart_sigma"), published="table2_text_to_image",
    plain_wins="FORA or fewer steps ahead of HarmoniCa",
    comparisons=((FEWER, "HarmoniCa over fewer steps, which here, as in the paper, compute more than it does"),
                 ("FORA", "HarmoniCa at the paper's CUR over FORA at 50 %")),
    about="Agreement takes the place of the paper's CLIP score: the percentage of images that the judge CNN reads as the "
          "digit that their caption names. Where guidance is above 1, FID and agreement mislead: guidance over-sharpens, "
          "and errors of a cache can undo some of that.")
TABLES = {table.name: table for table in (TABLE1, TABLE2)}
