"""What may be said on the wire: requests, answers, and the bounds of both, a room of the contract a module."""
