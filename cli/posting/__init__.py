"""The work behind `placelibre posts`: what the bus knows of posts, and pasts to rehearse on."""
