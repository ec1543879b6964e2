"""Prefect flows: one per verb, and `pipeline`, the six in order. Each joins a job of `mercurios.jobs` with Prefect."""
