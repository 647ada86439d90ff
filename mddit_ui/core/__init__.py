"""Policies, their cost and the records of the project; numpy and pydantic only."""
