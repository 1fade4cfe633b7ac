"""Programs behind figures and tables in docs: `python -m benchmarks.studies.<name> --help`, in the project's folder."""
