"""What `placelibre purge` finds and takes out: `places` says what belongs to whom, `erasing` looks and erases."""
