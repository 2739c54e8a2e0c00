"""Evaluation: figures, their intervals, and the page that shows them."""
