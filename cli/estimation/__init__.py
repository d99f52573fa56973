"""`placelibre estimate`: the estimator as a filter of JSON lines."""
