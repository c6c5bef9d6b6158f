"""Looking at runs and comparing them: values in, values out; it knows no registry."""
