"""Two actors on one real database, run statement by statement through every order of what they do.

`steps` says what a statement touches, `actors` stop before each one, `stage` moves them and knows who waits for a
lock, `exploring` tries all orders, `memory` puts the database back, `truths` asks what must hold after each order.
"""
