"""The four services. They never import each other; they meet on the bus."""
