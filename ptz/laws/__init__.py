"""Control laws: how fast a head turns towards what it aims at. One file each, found by name."""
