"""The commands: thin mains that compose a configuration, build what it names, and start it."""
