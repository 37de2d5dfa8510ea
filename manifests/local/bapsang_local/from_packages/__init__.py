"""What only a machine without a container registry needs: an engine of our own, images built from packages, a node image.

Nobody with Docker and a registry runs this code. It knows the engine's client, the table of images and the programs, and
nothing of the cluster that comes of them.
"""
