"""What `placelibre staff` does: people, tablets and what was said, as the bus has them."""
