"""From a command line to a complete configuration."""
