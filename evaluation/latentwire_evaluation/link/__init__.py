"""The journey over a slow line, measured: both services with a line of that rate between them."""
