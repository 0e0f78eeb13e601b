"""How generation providers are asked and understood, as data: the schema, its expressions, and the catalogue.

A provider is a YAML document (see `specification`), compiled and checked when it is loaded (`compilation`), found by
name (`catalogue`). Nothing here talks to a provider.
"""
