"""What the generate command can do with a network: one task a file, each a class with `run(drawer, output)`."""
