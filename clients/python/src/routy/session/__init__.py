"""One session's protocol, without IO: bytes, calls and time go in, bytes and events come out."""
