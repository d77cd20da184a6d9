"""Training side of Latentwire: paper A's autoencoder, its entropy model, and their export to `models/<id>/`."""
