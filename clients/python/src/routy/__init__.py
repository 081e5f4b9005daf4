"""A peer of Routy nodes: dial one, open its services, serve one's own."""
