"""Offline jobs: interactions in, sparse item embeddings out."""
