"""Tables, figures and the sentences that follow from them, made from records alone. Nothing here
imports torch.
"""
