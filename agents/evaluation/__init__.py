"""Judging agents: runs, paired statistics, reports."""
