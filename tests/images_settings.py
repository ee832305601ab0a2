"""`data` of an imaging run as its config has it, for tests that need no config."""

IMAGES = {
    "source": {"_target_": "medical.imaging.sources.own"},
    "path": None,
    "positive": None,
    "resolution": 28,
    "size": None,
    "spacing": None,
    "window": None,
    "level": "image",
    "group": "patient",
    "parts": [0.6, 0.1, 0.1, 0.2],
    "unreadable": 0.05,
}
