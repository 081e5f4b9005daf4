"""The frames of the session protocol: layout, codec, typed refusals. Pure."""
