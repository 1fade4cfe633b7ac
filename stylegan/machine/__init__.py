"""What is true of any program: memory, files, devices, processes and the console."""
