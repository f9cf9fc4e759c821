"""How a method looks in every figure: one colour, one marker, one line; told apart in grey too."""
METHOD = {"fewer steps": {"color": "#000000", "marker": "o", "linestyle": "-"},
          "FORA": {"color": "#56b4e9", "marker": "s", "linestyle": "-"},
          "random": {"color": "#999999", "marker": "x", "linestyle": ":"},
          "Learning-to-Cache": {"color": "#0072b2", "marker": "^", "linestyle": "--"},
          "HarmoniCa": {"color": "#d55e00", "marker": "D", "linestyle": "-"}}
WIDTH = 7.6         # inches: a README's column, read without zooming
PANEL = 2.3
