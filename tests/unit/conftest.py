"""Settings of the property tests; being here also puts `random_networks` and `tiny_study` on the import path."""

from hypothesis import settings

settings.register_profile("espalier", deadline=None)  # the machine may be busy
settings.load_profile("espalier")
