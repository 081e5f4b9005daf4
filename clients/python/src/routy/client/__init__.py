"""What programs use: a client that stays connected, and the streams that it opens and serves."""
