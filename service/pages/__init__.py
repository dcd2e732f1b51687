"""Pages for people: rendered here, and kept up to date in the browser by the public API."""
