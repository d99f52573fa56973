"""What a bus of containers or of several machines needs on disk: keys, certificates, rights, configurations."""
