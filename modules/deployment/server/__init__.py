"""The server of a bundle. It is copied into each bundle and imports nothing of the program that made it.

`integrity` and `settings` refuse to start; `bodies` and `connections` keep what a client may cost within limits;
`protocol` and `images` turn requests into arrays; `model` and `batching` answer them; `app` is the list of addresses.
"""
