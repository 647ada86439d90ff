"""Looks for policies: given a budget and something that scores policies, it runs no model itself."""
