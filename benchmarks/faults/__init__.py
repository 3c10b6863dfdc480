"""What callers see, and what is kept, while things break: a real server and a real Redis under load."""
