"""The laboratory: what is measured, where it is recorded, and how it is made."""
