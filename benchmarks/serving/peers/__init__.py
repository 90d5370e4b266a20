"""Other servers with the trees of our conversion model and ready-made features.

Neither keeps sessions nor builds features. The modules of this folder but this one run in the
peers' own environments.
"""
