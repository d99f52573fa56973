"""What `placelibre devices` does: listing, previews, sources and claims. The command itself is `cli.devices`."""
