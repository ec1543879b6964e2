"""Mercurios: retail analytics from a shop's till to an answered question.

The library behind the flows, the notebooks and the API. The path has six verbs, each one job in
`mercurios.jobs`: ingest, transform, export, retrain, index, query.
"""
