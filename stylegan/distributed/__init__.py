"""Several processes: who they are, what they do together, how a batch is split among them."""
