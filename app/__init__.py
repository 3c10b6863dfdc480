"""The service: answers retrieval requests over HTTP from a published snapshot and the users' state."""
