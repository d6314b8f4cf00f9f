"""HTTP/1.1 on sockets, both ends: the strict request machine, its shell, TLS, limits, the client.

What it does not do: decide what a target means. A service implements `net.app.App` and hands
back `net.answer.Answer` or `net.answer.Hit`; this folder frames, sends, times and meters them.
"""
