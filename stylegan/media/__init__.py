"""Video and sound: frames to files that can be posted, and songs to numbers over time."""
