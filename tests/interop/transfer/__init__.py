"""Transfer from networks of the same or another shape."""
