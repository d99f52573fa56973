"""Carrying our fediverse accounts' notes to the servers of their followers.

`known` is what the ACTORS bucket says, kept in memory; `due` decides what an inbox is to be told, pure; `accounts`
makes the accounts that the configuration names; `carrier` does the telling.
"""
