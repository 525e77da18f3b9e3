"""Cohorts: how well what was measured agrees with what is known."""
