"""Fivetran: the same reading as operations of a Connector SDK connection, as answers of a Function, and its REST API.

    for step in Reading(source, entities, clock, run).steps(state):
        step.upserts, step.deletes, step.state

| module | holds |
|---|---|
| `configuration` | a connection's flat settings as a tenant |
| `state` `reading` `tables` | how far a connection has come; records as steps; what the tables look like |
| `sdk` | `schema` and `update` of a Connector SDK connection; `connectors/prohandel` is its folder |
| `functions` | the handler of a Function (AWS Lambda) connection |
| `bundle` | what is deployed of either |
| `api` | client of the Fivetran REST API |
"""
